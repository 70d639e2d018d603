"""Requests as bytes on a socket: what the server refuses by itself, odd targets, and connections that stay usable."""

import socket
import sys
from collections.abc import Callable
from contextlib import closing

import psycopg2
import pytest

from tests.support.client import Reply
from tests.support.contract_check import ContractCheck
from tests.support.credentials import token
from tests.support.live import Live
from tests.support.locks import somebody_waits
from tests.support.processes import soon

HEAD = b"Host: localhost\r\nContent-Type: application/json\r\nAuthorization: Bearer %s\r\n"
LIVE = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
TASK = b'{"title": "Buy milk"}'
SERVER_CODES = ("bad_request", "uri_too_long", "header_fields_too_large", "not_implemented")
TEN_MEGABYTES = 10 * 1024 * 1024

Send = Callable[..., Reply]


@pytest.fixture
def head() -> bytes:
    """The header fields of a user of one's own."""
    return HEAD % token("ada").encode()


@pytest.fixture
def send(live: Live, check: ContractCheck) -> Send:
    """Sends bytes on a new connection; the reply, held to the contract."""

    def exchange(content: bytes, *more: bytes) -> Reply:
        method, path = content.split(b" ")[0].decode("latin-1"), content.split(b" ")[1].decode("latin-1")
        with live.wire() as wire:
            for part in (content, *more):
                wire.send(part)
            reply = wire.reply(method)
            by_server = reply.status >= 400 and reply.code in SERVER_CODES  # before any operation is known
            check.reply(method, "" if by_server else path, reply)
            return reply

    return exchange


def refused(reply: Reply) -> tuple[int, str, str]:
    """Status, code, and whether the connection ends. That it is a problem document is `check`'s business."""
    return reply.status, reply.code, reply.headers.get("connection", "stays")


def post(head: bytes, *fields: bytes) -> bytes:
    return b"POST /api/v1/me/tasks HTTP/1.1\r\n" + head + b"".join(field + b"\r\n" for field in fields) + b"\r\n"


@pytest.mark.parametrize("size", [100_000, TEN_MEGABYTES])
def test_any_header_field_too_large_is_431(send: Send, size: int) -> None:
    reply = send(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * size + b"\r\n\r\n")
    assert refused(reply) == (431, "header_fields_too_large", "close")


def test_any_header_fields_too_many_is_431(send: Send) -> None:
    reply = send(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n" + b"X: a\r\n" * 200 + b"\r\n")
    assert refused(reply) == (431, "header_fields_too_large", "close")


@pytest.mark.parametrize("size", [10_000, 300_000])
def test_any_request_line_too_long_is_414(send: Send, size: int) -> None:
    reply = send(b"GET /" + b"a" * size + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert refused(reply) == (414, "uri_too_long", "close")


@pytest.mark.parametrize(
    "content",
    [
        b"\x16\x03\x01 tls\r\n\r\n",
        b"GET /health/live\r\n\r\n",
        b"GET /health/live HTTP/2.0\r\n\r\n",
        b"GET /health/live HTTP/1.1\r\n\r\n",
        b"GET /health/live HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET /health/live HTTP/1.1\r\nHost: a b\r\n\r\n",
        b"GET /health/live HTTP/1.1\r\nHost: " + b"a" * 64 + b"\r\n\r\n",
        b"GET /health/live HTTP/1.1\r\nHost localhost\r\n\r\n",
        b"GET /health/live HTTP/1.1\r\nHost : localhost\r\n\r\n",
        b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nX: a\x00b\r\n\r\n",
        b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nX: a\r\n folded\r\n\r\n",
        b"GET /health/live HTTP/1.1\nHost: localhost\n\n",
        b"GET /health/live\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
    ids=[
        "tls",
        "no-version",
        "http-2",
        "no-host",
        "two-hosts",
        "blank-in-host",
        "long-label",
        "no-colon",
        "blank-before-colon",
        "nul",
        "folded",
        "bare line feed",
        "not-ascii",
    ],
)
def test_any_malformed_http_is_400(send: Send, content: bytes) -> None:
    assert refused(send(content)) == (400, "bad_request", "close")


@pytest.mark.parametrize("method", [b"get", b"patch", b"Get", b"FOO", b"M!"], ids=repr)
@pytest.mark.parametrize("pieces", [1, 99], ids=["whole", "bytes"])
def test_any_method_that_a_resource_does_not_have_is_405_and_the_connection_stays(
    live: Live, method: bytes, pieces: int
) -> None:
    """A method is any token, and case-sensitive (RFC 9110, section 9.1)."""
    request = method + b" /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with live.wire() as wire:
        for part in [request] if pieces == 1 else [request[i : i + 1] for i in range(len(request))]:
            wire.send(part)
        reply = wire.reply()
        assert (reply.status, reply.code, reply.headers["allow"]) == (405, "method_not_allowed", "GET, HEAD, OPTIONS")
        wire.send(LIVE)
        assert wire.reply().status == 200


@pytest.mark.parametrize(
    "fields",
    [
        (b"Content-Length: 2", b"Content-Length: 3"),
        (b"Content-Length: 2", b"Content-Length: 2"),
        (b"Content-Length: 2", b"Transfer-Encoding: chunked"),
        (b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
        (b"Transfer-Encoding: identity",),
        (b"Content-Length: -1",),
        (b"Content-Length: +1",),
        (b"Content-Length: " + b"9" * 5000,),
    ],
    ids=str,
)
def test_create_task_ambiguous_framing_is_400_and_ends_the_connection(
    live: Live, head: bytes, fields: tuple[bytes, ...]
) -> None:
    with live.wire() as wire:
        wire.send(post(head, *fields) + b"0\r\n\r\n" + LIVE)
        assert refused(wire.reply("POST")) == (400, "bad_request", "close")
        assert wire.is_closed()


def test_create_task_unknown_transfer_coding_is_501(send: Send, head: bytes) -> None:
    reply = send(post(head, b"Transfer-Encoding: gzip, chunked") + b"0\r\n\r\n")
    assert refused(reply) == (501, "not_implemented", "close")


def test_create_task_malformed_chunk_is_400(send: Send, head: bytes) -> None:
    reply = send(post(head, b"Transfer-Encoding: chunked") + b"zz\r\n{}\r\n0\r\n\r\n")
    assert refused(reply) == (400, "bad_request", "close")


def test_create_task_chunked_body_is_stored(send: Send, head: bytes) -> None:
    reply = send(
        post(head, b"Transfer-Encoding: chunked"), b"9\r\n" + TASK[:9] + b"\r\n", b"c\r\n" + TASK[9:] + b"\r\n0\r\n\r\n"
    )
    assert (reply.status, reply.json()["title"]) == (201, "Buy milk")


def test_create_task_body_too_large_is_413_and_the_connection_stays(live: Live, head: bytes) -> None:
    with live.wire() as wire:
        wire.send(post(head, b"Content-Length: %d" % TEN_MEGABYTES))
        wire.send(b"a" * TEN_MEGABYTES)
        assert refused(wire.reply("POST")) == (413, "payload_too_large", "stays")
        wire.send(LIVE)
        assert wire.reply().status == 200


def test_create_task_chunked_body_too_large_is_413_and_the_connection_stays(live: Live, head: bytes) -> None:
    with live.wire() as wire:
        wire.send(post(head, b"Transfer-Encoding: chunked"))
        wire.send(b"%x\r\n" % TEN_MEGABYTES + b"a" * TEN_MEGABYTES + b"\r\n0\r\n\r\n")
        assert refused(wire.reply("POST")) == (413, "payload_too_large", "stays")
        wire.send(LIVE)
        assert wire.reply().status == 200


def test_create_task_body_too_large_announced_is_413_without_asking_for_it(send: Send, head: bytes) -> None:
    reply = send(post(head, b"Expect: 100-continue", b"Content-Length: %d" % TEN_MEGABYTES))
    assert refused(reply) == (413, "payload_too_large", "close")


def test_create_task_announced_body_is_asked_for_and_stored(live: Live, head: bytes) -> None:
    with live.wire() as wire:
        wire.send(post(head, b"Expect: 100-continue", b"Content-Length: %d" % len(TASK)))
        assert wire.reply("POST").status == 100
        wire.send(TASK)
        assert wire.reply("POST").status == 201


@pytest.mark.parametrize(
    ("line", "status"), [(b"POST /api/v1/me/tasks", 401), (b"POST /nowhere", 404), (b"POST /health/live", 405)]
)
def test_any_refusal_before_the_body_arrives_leaves_the_connection_usable(live: Live, line: bytes, status: int) -> None:
    with live.wire() as wire:
        wire.send(line + b" HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % TEN_MEGABYTES)
        assert wire.reply("POST").status == status
        wire.send(b"a" * TEN_MEGABYTES + LIVE)
        assert wire.reply().status == 200


@pytest.mark.parametrize("target", [b"http://localhost/health/live", b"HTTP://other:80/health/live"])
def test_any_absolute_form_target_is_its_path(send: Send, target: bytes) -> None:
    reply = send(b"GET " + target + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert (reply.status, reply.json()) == (200, {"status": "pass"})


def test_list_tasks_absolute_form_target_keeps_its_query(send: Send, head: bytes) -> None:
    reply = send(b"GET http://localhost/api/v1/me/tasks?limit=0 HTTP/1.1\r\n" + head + b"\r\n")
    assert (reply.status, reply.json()["errors"][0]["pointer"]) == (400, "/limit")


def test_any_http_1_0_is_answered_and_closed(live: Live) -> None:
    with live.wire() as wire:
        wire.send(b"GET /health/live HTTP/1.0\r\n\r\n")
        reply = wire.reply()
        assert (reply.status, reply.headers["connection"]) == (200, "close")
        assert wire.is_closed()


def test_any_pipelined_requests_are_answered_in_order(live: Live) -> None:
    missing = b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n"
    head = b"HEAD /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with live.wire() as wire:
        wire.send(LIVE + missing + head + LIVE)
        assert [wire.reply(method).status for method in ("GET", "GET", "HEAD", "GET")] == [200, 404, 200, 200]


@pytest.mark.parametrize(
    "fields",
    [
        b"Upgrade: websocket\r\nConnection: Upgrade\r\n",
        b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
    ],
    ids=["websocket", "whole-websocket", "h2c"],
)
def test_any_upgrade_is_ignored(send: Send, fields: bytes) -> None:
    assert send(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n" + fields + b"\r\n").status == 200


@pytest.mark.parametrize("refusal", [b"GET /nowhere", b"POST /health/live", b"GET /api/v1/me/tasks"])
def test_any_refusal_leaves_the_connection_usable(live: Live, refusal: bytes) -> None:
    with live.wire() as wire:
        wire.send(refusal + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert "connection" not in wire.reply().headers
        wire.send(LIVE)
        assert wire.reply().status == 200


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/health%0A/live", 404),
        ("/health/live%0A", 404),
        ("//health/live", 404),
        ("/health//live", 404),
        ("/health%2flive", 404),
        ("/health/./live", 404),
        ("/health/../health/live", 404),
        ("/api/v1/me/tasks/", 404),
        ("/api/v1/me/tasks%0A", 404),
        ("/api/v1/me/tasks;x=1", 404),
        ("/api/v1/me/tasks%3Flimit=1", 404),
        ("/api/v1/%FF/tasks", 400),
        ("/api/v1/me%00/tasks", 400),
        ("/api/v1/me%0A/tasks", 400),
        ("/api/v1/me%2Ftasks", 404),
        ("/api/v1/bob%2F..%2Fme/tasks", 403),
        ("/api/v1/me/tasks/%2e%2e", 400),
        ("/api/v1/me/tasks/01932c07-9f7a-7c1d-b6a1-5a2f0f5d1c3e%0A", 400),
        ("/api/v1/me/tasks?limit=%FF", 400),
        ("/api/v1/m%65/tasks", 200),
        ("/api/v1/ada/tasks", 200),
        ("/health/live?", 200),
    ],
)
def test_any_odd_path_is_what_its_bytes_say(send: Send, head: bytes, path: str, status: int) -> None:
    assert send(b"GET " + path.encode() + b" HTTP/1.1\r\n" + head + b"\r\n").status == status


def test_list_tasks_head_has_the_headers_of_get_and_no_body(live: Live, head: bytes) -> None:
    request = b" /api/v1/me/tasks?q=nothing HTTP/1.1\r\nX-Request-ID: same\r\n" + head + b"\r\n"
    with live.wire() as wire:
        wire.send(b"GET" + request)
        got = wire.reply()
        wire.send(b"HEAD" + request + LIVE)
        headed = wire.reply("HEAD")
        assert (headed.status, headed.body) == (200, b"")
        assert {**headed.headers, "date": ""} == {**got.headers, "date": ""}
        assert wire.reply().json() == {"status": "pass"}


@pytest.mark.parametrize("sent", ["a", "a" * 128, "!~"])
def test_any_usable_request_id_comes_back(live: Live, sent: str) -> None:
    assert live.request("GET", "/nowhere", b"", f"X-Request-ID: {sent}").json()["request_id"] == sent


@pytest.mark.parametrize(
    "fields",
    [(), ("a" * 129,), ("a b",), ("é",), ("",), ("a", "b")],
    ids=["none", "long", "blank", "é", "empty", "two"],
)
def test_any_unusable_request_id_is_replaced(live: Live, fields: tuple[str, ...]) -> None:
    made = live.request("GET", "/nowhere", b"", *(f"X-Request-ID: {field}" for field in fields)).json()["request_id"]
    assert len(made) == 32
    assert made not in fields


def test_create_task_whose_sender_leaves_is_no_internal_error(live: Live, url: str, head: bytes) -> None:
    def told(request_id: str) -> bool:
        return soon(lambda: f"request_id={request_id}" in live.output())

    with closing(psycopg2.connect(url)) as database:
        database.cursor().execute("LOCK TABLE tasks")
        with live.wire() as wire:
            wire.send(post(head, b"X-Request-ID: leaver", b"Content-Length: %d" % len(TASK)) + TASK)
            assert somebody_waits(url)
            wire.reset()
        assert live.request("GET", "/health/live").status == 200  # so it has seen them leave
    assert told("leaver")
    assert live.request("GET", "/api/v1/nowhere", b"", "X-Request-ID: after").status == 404
    assert told("after")
    assert "internal_error" not in live.output()


DATA_SEGMENTS_IN = slice(152, 156)
"""Where Linux tells, in `struct tcp_info`, how many segments with data have come."""


def test_any_reply_comes_with_its_head_and_body_in_one_segment(live: Live) -> None:
    """Each write of the server is a system call, and a segment here, where nothing waits for more."""
    with live.wire() as wire:
        for number in range(1, 6):
            wire.send(LIVE)
            assert wire.reply().status == 200
            info = wire.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 232)
            assert int.from_bytes(info[DATA_SEGMENTS_IN], sys.byteorder) == number
