"""Who is turned away as the request arrives, with what reply, and who is not: whatever is more than a look at its head can tell."""

from math import inf
from typing import Any

import orjson
import pytest
from connexion.spec import Specification

from todo_api import contract
from todo_api.pipeline.exchange import Exchange
from todo_api.pipeline.routing import Routes
from todo_api.pipeline.turns import Load
from todo_api.shedding import LONGEST, Shedding

PATH = b"/api/v1/me/tasks"
HOST = b"Host: localhost\r\n"
TOKEN = b"Authorization: Bearer abc.def-_~+/=\r\n"


class Watcher:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.entries: list[str] = []
        self.ends: list[tuple[Any, ...]] = []

    def entered(self, exchange: Exchange) -> None:
        self.entries.append(exchange.operation)

    def ended(self, exchange: Exchange) -> None:
        self.ends.append((exchange.method, exchange.operation, exchange.route, exchange.status, exchange.code))


@pytest.fixture(scope="module")
def routes() -> Routes:
    made = Routes()
    for path in (contract.TASK_API, contract.OPS_API):
        made.add(Specification.from_dict(contract.load(path)))  # type: ignore[no-untyped-call]  # Connexion's
    return made


@pytest.fixture
def shedding(routes: Routes) -> Shedding:
    """Of a load that is full."""
    load = Load()
    load.overloaded, load._trial_at = True, inf
    load._counted = load.pace.now(inf)
    load.turns = load.taken = load.answering = 2
    return Shedding(load, routes, (Watcher(),))


def request(*fields: bytes, method: bytes = b"GET", target: bytes = PATH, version: bytes = b"HTTP/1.1") -> bytes:
    return b"%b %b %b\r\n%b\r\n" % (method, target, version, b"".join(fields))


def refused(shedding: Shedding, data: bytes) -> tuple[bytes, dict[bytes, bytes], bytes]:
    """The status line, the headers and the body of the refusal."""
    reply = shedding.reply(data)
    assert reply is not None
    head, _, body = reply.partition(b"\r\n\r\n")
    status, *lines = head.split(b"\r\n")
    return status, dict(line.split(b": ", 1) for line in lines), body


def test_request_that_is_turned_away_is_told_so_counted_and_logged(shedding: Shedding) -> None:
    status, headers, body = refused(shedding, request(HOST, TOKEN, b"X-Request-ID: one\r\n", target=PATH + b"?limit=5"))
    assert status == b"HTTP/1.1 503 Service Unavailable"
    assert headers[b"content-type"] == b"application/problem+json"
    assert (headers[b"retry-after"], headers[b"x-request-id"]) == (b"1", b"one")
    assert int(headers[b"content-length"]) == len(body)
    assert orjson.loads(body)["code"] == "overloaded"
    assert orjson.loads(body)["request_id"] == "one"
    (watcher,) = shedding.watchers
    assert isinstance(watcher, Watcher)
    assert watcher.entries == ["listTasks"]
    assert watcher.ends == [("GET", "listTasks", "/api/v1/{user_id}/tasks", 503, "overloaded")]
    assert shedding.load.pace.came == 1


def test_head_that_is_turned_away_gets_no_body(shedding: Shedding) -> None:
    _, headers, body = refused(shedding, request(HOST, method=b"HEAD"))
    assert int(headers[b"content-length"]) > 0
    assert body == b""


@pytest.mark.parametrize(
    "data",
    [
        request(HOST, b"Connection: Keep-Alive\r\n"),
        request(b"accept: */*\r\nhost:localhost:8080\r\ncookie: a=\xfc\r\n"),
        request(HOST, b"traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n"),
        request(HOST, method=b"DELETE", target=PATH + b"/01a2165c-8102-7117-8b0b-2638b1eb90af"),
    ],
)
def test_request_in_the_common_form_is_turned_away(shedding: Shedding, data: bytes) -> None:
    assert refused(shedding, data)[0].startswith(b"HTTP/1.1 503 ")


@pytest.mark.parametrize(
    "data",
    [
        request(HOST, b"Content-Length: 2\r\n", method=b"POST") + b"{}",
        request(HOST, b"Content-Length: 0\r\n", method=b"POST"),
        request(HOST, b"Transfer-Encoding: chunked\r\n", method=b"POST"),
        request(HOST, b"Expect: 100-continue\r\n"),
        request(HOST, b"Connection: close\r\n"),
        request(HOST, b"Connection: upgrade\r\n", b"Upgrade: h2c\r\n"),
        request(HOST, b"Origin: https://example.com\r\n"),
        request(TOKEN),
        request(HOST, HOST),
        request(HOST, b" folded\r\n"),
        request(HOST, b"no colon\r\n"),
        request(HOST, b"Bad Name: x\r\n"),
        request(HOST, b"X: a\x00b\r\n"),
        request(HOST)[:-1],
        request(HOST)[:-2],
        request(HOST) + request(HOST),
        request(HOST, b"X: %b\r\n" % (b"x" * LONGEST)),
        request(HOST, version=b"HTTP/1.0"),
        request(HOST, method=b"OPTIONS"),
        request(HOST, method=b"PUT"),
        request(HOST, target=b"http://localhost" + PATH),
        request(HOST, target=PATH + b"#x"),
        request(HOST, target=PATH + b"/\xfc"),
        request(HOST, target=b"/nowhere"),
        request(HOST, target=b"/health/live"),
        b"",
    ],
)
def test_request_that_is_more_than_a_look_can_tell_goes_further_in(shedding: Shedding, data: bytes) -> None:
    assert shedding.reply(data) is None
    assert shedding.load.pace.came == 0


def test_request_is_let_in_where_the_load_is_not_full(shedding: Shedding) -> None:
    shedding.load.taken, shedding.load._rate = 1, 10_000
    assert shedding.reply(request(HOST)) is None
