"""Requests that a proxy and the service could read in two ways: each gets one refusal, and nothing after it is answered."""

import socket

import pytest

from tests.support.contract_check import ContractCheck
from tests.support.credentials import token
from tests.support.live import Live, Wire

FIELDS = f"Host: localhost\r\nContent-Type: application/json\r\nAuthorization: Bearer {token('ada')}\r\n".encode()
CHUNKED = b"Transfer-Encoding: chunked\r\n"
SMUGGLED = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"


def post(fields: bytes, body: bytes = b"", path: bytes = b"/api/v1/me/tasks", version: bytes = b"1.1") -> bytes:
    return b"POST " + path + b" HTTP/" + version + b"\r\n" + FIELDS + fields + b"\r\n" + body


def head(fields: bytes) -> bytes:
    return b"GET /health/live HTTP/1.1\r\n" + fields + b"\r\n"


REFUSED = {
    "length 2^64": post(b"Content-Length: 18446744073709551616\r\n"),
    "length 2^64+2": post(b"Content-Length: 18446744073709551618\r\n", b"{}"),
    "length 2^128": post(b"Content-Length: 340282366920938463463374607431768211456\r\n"),
    "length hexadecimal": post(b"Content-Length: 0x2\r\n", b"{}"),
    "length with a blank": post(b"Content-Length: 1 2\r\n", b"{}"),
    "length list": post(b"Content-Length: 2, 2\r\n", b"{}"),
    "length empty": post(b"Content-Length: \r\n"),
    "length underscore": post(b"Content-Length: 1_0\r\n", b"{}"),
    "two lengths": post(b"Content-Length: 0\r\nContent-Length: 44\r\n"),
    "two equal lengths": post(b"Content-Length: 2\r\nContent-Length: 2\r\n", b"{}"),
    "length and chunked": post(b"Content-Length: 5\r\n" + CHUNKED, b"0\r\n\r\n"),
    "chunked and length": post(CHUNKED + b"Content-Length: 5\r\n", b"0\r\n\r\n"),
    "chunk of 2^64+2": post(CHUNKED, b"10000000000000002\r\n{}\r\n0\r\n\r\n"),
    "chunk of 2^64": post(CHUNKED, b"10000000000000000\r\n\r\n"),
    "chunk of 2^65": post(CHUNKED, b"20000000000000000\r\n\r\n"),
    "chunk negative": post(CHUNKED, b"-2\r\n{}\r\n0\r\n\r\n"),
    "chunk 0x": post(CHUNKED, b"0x2\r\n{}\r\n0\r\n\r\n"),
    "chunk without a size": post(CHUNKED, b"\r\n{}\r\n0\r\n\r\n"),
    "chunk longer than it says": post(CHUNKED, b"1\r\n{}\r\n0\r\n\r\n"),
    "chunk size ended by a line feed": post(CHUNKED, b"2\n{}\r\n0\r\n\r\n"),
    "chunk ended by a line feed": post(CHUNKED, b"2\r\n{}\n0\r\n\r\n"),
    "line feed in an extension": post(CHUNKED, b"2;a\nb\r\n{}\r\n0\r\n\r\n"),
    "line feed in the value of an extension": post(CHUNKED, b"2;a=b\nc\r\n{}\r\n0\r\n\r\n"),
    "line feed in a quoted extension": post(CHUNKED, b'2;a="b\nc"\r\n{}\r\n0\r\n\r\n'),
    "NUL in an extension": post(CHUNKED, b"2;a\0b\r\n{}\r\n0\r\n\r\n"),
    "carriage return in an extension": post(CHUNKED, b"2;a\rb\r\n{}\r\n0\r\n\r\n"),
    "line feed in the last chunk's extension": post(CHUNKED, b"0;a\nb\r\n\r\n"),
    "identity, chunked": post(b"Transfer-Encoding: identity, chunked\r\n", b"0\r\n\r\n"),
    "gzip, chunked": post(b"Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n"),
    "x-gzip then chunked": post(b"Transfer-Encoding: x-gzip\r\n" + CHUNKED, b"0\r\n\r\n"),
    "chunked, gzip": post(b"Transfer-Encoding: chunked, gzip\r\n", b"0\r\n\r\n"),
    "chunked, chunked": post(b"Transfer-Encoding: chunked, chunked\r\n", b"0\r\n\r\n"),
    "chunked twice": post(CHUNKED + CHUNKED, b"0\r\n\r\n"),
    "gzip alone": post(b"Transfer-Encoding: gzip\r\n"),
    "xchunked": post(b"Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n"),
    "chunked with a parameter": post(b"Transfer-Encoding: chunked;q=1\r\n", b"0\r\n\r\n"),
    "chunked behind a vertical tab": post(b"Transfer-Encoding: \x0bchunked\r\n", b"0\r\n\r\n"),
    "an empty coding": post(b"Transfer-Encoding:\r\n"),
    "blank before the colon of a coding": post(b"Transfer-Encoding : chunked\r\n", b"0\r\n\r\n"),
    "tab before the colon of a length": post(b"Content-Length\t: 0\r\n"),
    "folded coding": post(b"Transfer-Encoding:\r\n chunked\r\n", b"0\r\n\r\n"),
    "folded field": post(b"X: a\r\n\tb\r\nContent-Length: 0\r\n"),
    "folded first field": head(b" Host: localhost\r\n"),
    "carriage return in a field": post(b"X: a\rContent-Length: 44\r\n"),
    "NUL in a name": post(b"X\0: a\r\n"),
    "chunked in HTTP/1.0": post(CHUNKED, b"0\r\n\r\n", version=b"1.0"),
    "gzip, chunked in HTTP/1.0": post(b"Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n", version=b"1.0"),
    "no Host": head(b"X: a\r\n"),
    "two Hosts": head(b"Host: localhost\r\nHost: localhost\r\n"),
    "two different Hosts": head(b"Host: localhost\r\nHost: other\r\n"),
    "Host with a list": head(b"Host: localhost, other\r\n"),
    "Host with a user": head(b"Host: ada@localhost\r\n"),
    "Host with a path": head(b"Host: localhost/x\r\n"),
    "Host with a blank": head(b"Host: local host\r\n"),
    "Host with a port that is none": head(b"Host: localhost:8a\r\n"),
    "absolute form without Host": b"GET http://localhost/health/live HTTP/1.1\r\n\r\n",
    "preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "version 1.2": b"GET /health/live HTTP/1.2\r\nHost: localhost\r\n\r\n",
    "version 0.9": b"GET /health/live HTTP/0.9\r\nHost: localhost\r\n\r\n",
    "two blanks in the request line": b"GET  /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "tab in the request line": b"GET\t/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n",
}
NOT_IMPLEMENTED = {"gzip, chunked", "x-gzip then chunked"}


def everything(wire: Wire) -> bytes:
    """All bytes up to the end of the connection."""
    found = b""
    try:
        while piece := wire.socket.recv(65536):
            found += piece
    except ConnectionResetError:
        pass
    return found


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("path", [b"/api/v1/me/tasks", b"/nowhere"], ids=["tasks", "nowhere"])
def test_any_request_that_can_be_read_in_two_ways_is_refused_once_and_nothing_after_it_is_answered(
    live: Live, name: str, path: bytes
) -> None:
    with live.wire() as wire:
        wire.send(REFUSED[name].replace(b" /api/v1/me/tasks ", b" " + path + b" ") + SMUGGLED)
        wire.socket.shutdown(socket.SHUT_WR)
        said = everything(wire)
    assert said.count(b"HTTP/1.1 ") == 1, said
    assert b'"status":"pass"' not in said.replace(b" ", b"")


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("pieces", [1, 99], ids=["whole", "bytes"])
def test_create_task_that_can_be_read_in_two_ways_is_a_problem_with_a_request_id_and_the_connection_ends(
    live: Live, check: ContractCheck, name: str, pieces: int
) -> None:
    content = REFUSED[name]
    with live.wire() as wire:
        try:
            for part in [content] if pieces == 1 else [content[i : i + 1] for i in range(len(content))]:
                wire.send(part)
        except ConnectionError:
            pass  # it was refused before its end
        reply = wire.reply("POST")
        check.reply("POST", "", reply)
        expected = (501, "not_implemented") if name in NOT_IMPLEMENTED else (400, "bad_request")
        assert (reply.status, reply.code, reply.headers["connection"]) == (*expected, "close")
        assert reply.headers["content-type"] == "application/problem+json"
        assert reply.json()["request_id"] == reply.headers["x-request-id"]
        assert wire.is_closed()


def test_any_chunked_body_that_turns_bad_after_its_404_was_begun_has_one_reply(live: Live) -> None:
    with live.wire() as wire:
        wire.send(b"POST /nowhere HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n")
        assert wire.reply("POST").status == 404
        wire.send(b"zz\r\n" + SMUGGLED)
        assert everything(wire) == b""


@pytest.mark.parametrize("extension", [b";a", b";a=b", b';a="b c"', b""])
def test_create_task_chunk_extensions_of_the_grammar_and_trailers_are_read_over(live: Live, extension: bytes) -> None:
    body = b'{"title": "x"}'
    with live.wire() as wire:
        wire.send(post(CHUNKED, b"%x%b\r\n%b\r\n0\r\nX: y\r\n\r\n" % (len(body), extension, body)) + SMUGGLED)
        assert wire.reply("POST").status == 201
        assert wire.reply().status == 200


EXPECTED = {b"/nowhere": 404, b"/health/live": 405, b"/api/v1/me/tasks": 400}
UPGRADES = [
    b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n",
    b"Connection: upgrade\r\nUpgrade: websocket\r\n",
]


@pytest.mark.parametrize("upgrade", UPGRADES, ids=["h2c", "websocket"])
@pytest.mark.parametrize("pieces", [1, 99], ids=["whole", "bytes"])
@pytest.mark.parametrize("path", [b"/nowhere", b"/health/live", b"/api/v1/me/tasks"])
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_any_body_of_a_request_that_asks_for_an_upgrade_is_no_request(
    live: Live, upgrade: bytes, pieces: int, path: bytes, chunked: bool
) -> None:
    """Llhttp takes what follows such a head for another protocol, and the body with it: Java's client sends one with its first POST."""
    framed = CHUNKED if chunked else b"Content-Length: %d\r\n" % len(SMUGGLED)
    body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED) if chunked else SMUGGLED
    content = post(upgrade + framed, body, path) + head(b"Host: localhost\r\nConnection: close\r\n")
    with live.wire() as wire:
        for part in [content] if pieces == 1 else [content[i : i + 1] for i in range(len(content))]:
            wire.send(part)
        assert wire.reply("POST").status == EXPECTED[path]
        assert wire.reply().status == 200
        assert wire.is_closed()


@pytest.mark.parametrize("upgrade", UPGRADES, ids=["h2c", "websocket"])
@pytest.mark.parametrize(
    "framed",
    [b"Content-Length: 14\r\n\r\n%b", CHUNKED + b"\r\ne\r\n%b\r\n0\r\nX: y\r\n\r\n"],
    ids=["length", "chunked"],
)
def test_create_task_that_asks_for_an_upgrade_is_stored_and_the_next_requests_are_read(
    live: Live, upgrade: bytes, framed: bytes
) -> None:
    content = post(upgrade)[:-2] + framed % b'{"title": "x"}'
    with live.wire() as wire:
        wire.send((content + SMUGGLED) * 2)
        assert [wire.reply(method).status for method in ("POST", "GET") * 2] == [201, 200] * 2


@pytest.mark.parametrize("upgrade", UPGRADES, ids=["h2c", "websocket"])
@pytest.mark.parametrize("chunk", [b"zz\r\n", b"10000000000000002\r\n{}\r\n", b"2;a\nb\r\n{}\r\n", b"2\r\n{}0\r\n"])
def test_create_task_that_asks_for_an_upgrade_with_a_malformed_chunk_is_400(
    live: Live, upgrade: bytes, chunk: bytes
) -> None:
    with live.wire() as wire:
        wire.send(post(upgrade + CHUNKED, chunk + b"0\r\n\r\n") + SMUGGLED)
        said = everything(wire)
    assert said.startswith(b"HTTP/1.1 400 ")
    assert said.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("host", [b"localhost", b"localhost:8000", b"[::1]:8000", b"127.0.0.1", b"LOCAL.host.", b""])
def test_any_host_of_the_grammar_is_taken(live: Live, host: bytes) -> None:
    with live.wire() as wire:
        wire.send(b"GET /health/live HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
        assert wire.reply().status == 200


@pytest.mark.parametrize(
    ("request_line", "status"),
    [(b"GET /health/live", 200), (b"OPTIONS *", 204), (b"GET /nowhere", 404), (b"GET /api/v1/me/tasks", 401)],
)
def test_any_request_of_a_client_that_has_ended_its_side_is_answered(
    live: Live, request_line: bytes, status: int
) -> None:
    with live.wire() as wire:
        wire.send(request_line + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
        wire.socket.shutdown(socket.SHUT_WR)
        assert wire.reply().status == status
        assert wire.is_closed()


def test_create_task_of_a_client_that_has_ended_its_side_is_stored(live: Live) -> None:
    body = b'{"title": "last word"}'
    with live.wire() as wire:
        wire.send(post(b"Content-Length: %d\r\n" % len(body), body))
        wire.socket.shutdown(socket.SHUT_WR)
        reply = wire.reply("POST")
        assert (reply.status, reply.json()["title"]) == (201, "last word")


def test_create_task_half_a_body_of_a_client_that_has_ended_its_side_ends_the_connection(live: Live) -> None:
    with live.wire() as wire:
        wire.send(post(b"Content-Length: 100\r\n", b'{"title": '))
        wire.socket.shutdown(socket.SHUT_WR)
        assert b"HTTP/1.1 2" not in everything(wire)
