"""Refusals that the server sends itself, read by pages of other origins: the fields of CORS stand on every one."""

from collections.abc import Iterator
from contextlib import closing

import psycopg2
import pytest

from tests.support.client import Reply
from tests.support.credentials import SECRET, token
from tests.support.live import Live
from tests.support.locks import somebody_waits

ORIGIN = "https://app.example.com"
OTHER = "https://other.example.com"
FOREIGN = "https://foreign.example.com"


@pytest.fixture(scope="module")
def live(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A service for the pages of one origin, with short limits."""
    folder = tmp_path_factory.mktemp("one")
    limits = {"HEAD_TIMEOUT": "1", "BODY_TIMEOUT": "1"}
    with Live(folder, DATABASE_URL=url, JWT_SECRET=SECRET, CORS_ORIGINS=ORIGIN, **limits) as service:
        yield service.ready()


@pytest.fixture(scope="module")
def shared(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A service for the pages of two origins, and one place for an address."""
    folder = tmp_path_factory.mktemp("two")
    settings = {"CORS_ORIGINS": f"{ORIGIN},{OTHER}", "CLIENT_CONNECTIONS": "2"}
    with Live(folder, DATABASE_URL=url, JWT_SECRET=SECRET, **settings) as service:
        yield service.ready()


def request(line: str, *fields: str) -> bytes:
    """The head of a request."""
    return "\r\n".join([f"{line} HTTP/1.1", *fields, "", ""]).encode()


def answer(service: Live, content: bytes) -> Reply:
    with service.wire() as wire:
        wire.send(content)
        return wire.reply()


def cors(reply: Reply) -> tuple[str | None, list[str]]:
    """The origin whose pages may read the reply, and what it varies by."""
    varies = [value for name, value in reply.header_list if name == "vary"]
    return reply.headers.get("access-control-allow-origin"), varies


BODY = ("Host: localhost", "Content-Type: application/json")
REFUSALS = {
    "no host": (400, "GET /", []),
    "unknown coding": (501, "POST /api/v1/auth/token", [*BODY, "Transfer-Encoding: gzip, chunked"]),
    "malformed chunk": (400, "POST /api/v1/auth/token", [*BODY, "Transfer-Encoding: chunked", "", "zz"]),
    "field too large": (431, "GET /", ["Host: localhost", "X: " + "a" * 20_000]),
    "head not finished": (408, "GET /", ["Host: localhost"]),
    "body not finished": (408, "POST /api/v1/auth/token", [*BODY, "Content-Length: 50"]),
}


@pytest.mark.parametrize("what", REFUSALS)
@pytest.mark.parametrize(("origin", "allowed"), [(ORIGIN, ORIGIN), (FOREIGN, None)], ids=["allowed", "foreign"])
def test_any_refusal_of_the_server_may_be_read_by_the_allowed_origin_alone(
    live: Live, what: str, origin: str, allowed: str | None
) -> None:
    status, line, fields = REFUSALS[what]
    content = request(line, f"Origin: {origin}", *fields)
    reply = answer(live, content[:-2] if what == "head not finished" else content)
    assert reply.status == status
    assert cors(reply) == (allowed, ["Origin"])
    exposed = reply.headers.get("access-control-expose-headers", "").split(", ")
    assert ("X-Request-ID" in exposed) == (allowed is not None)


BEFORE_THE_ORIGIN = {
    "line too long": (414, request("GET /" + "a" * 9000, "Host: localhost", f"Origin: {ORIGIN}")),
    "field too large": (431, request("GET /", "Host: localhost", "X: " + "a" * 20_000, f"Origin: {ORIGIN}")),
}


@pytest.mark.parametrize("what", BEFORE_THE_ORIGIN)
def test_any_refusal_before_the_origin_is_read_names_the_only_one_that_is_allowed(
    live: Live, shared: Live, what: str
) -> None:
    status, content = BEFORE_THE_ORIGIN[what]
    for service, allowed in ((live, ORIGIN), (shared, None)):
        reply = answer(service, content)
        assert reply.status == status
        assert cors(reply) == (allowed, ["Origin"])


def test_any_refusal_of_a_second_request_forgets_the_origin_of_the_first(shared: Live) -> None:
    with shared.wire() as wire:
        wire.send(request("GET /health/live", "Host: localhost", f"Origin: {ORIGIN}"))
        assert cors(wire.reply()) == (ORIGIN, ["Origin"])
        wire.send(b"GET /nowhere\r\n\r\n")
        reply = wire.reply()
    assert reply.status == 400
    assert cors(reply) == (None, ["Origin"])


@pytest.mark.parametrize("origin", [ORIGIN, OTHER])
def test_list_tasks_beyond_the_places_of_an_address_may_be_read_by_each_allowed_origin(
    shared: Live, url: str, origin: str
) -> None:
    asking = request("GET /api/v1/me/tasks", "Host: localhost", f"Authorization: Bearer {token('cors')}")
    with closing(psycopg2.connect(url)) as database, shared.wire() as wire:
        database.cursor().execute("LOCK TABLE tasks")
        wire.send(asking)  # it has the only place of its address, until it is answered
        assert somebody_waits(url)
        reply = answer(shared, asking[:-2] + f"Origin: {origin}\r\n\r\n".encode())
        assert (reply.status, cors(reply)) == (503, (origin, ["Origin"]))
        database.rollback()
        assert wire.reply().status == 200
