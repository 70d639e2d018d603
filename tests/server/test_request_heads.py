"""Heads of requests by the grammar of RFC 9110 and 9112: methods, targets, hosts, blanks and expectations."""

import pytest

from tests.support.client import Reply
from tests.support.credentials import token
from tests.support.live import Live

LIVE = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
TASK = b'{"title": "Buy milk"}'


@pytest.fixture
def head() -> bytes:
    """The header fields of a user of one's own."""
    return b"Host: localhost\r\nContent-Type: application/json\r\nAuthorization: Bearer %b\r\n" % token("ada").encode()


def refused(reply: Reply) -> tuple[int, str, str]:
    """Status, code, and whether the connection ends."""
    return reply.status, reply.code, reply.headers.get("connection", "stays")


def post(head: bytes, *fields: bytes) -> bytes:
    return b"POST /api/v1/me/tasks HTTP/1.1\r\n" + head + b"".join(field + b"\r\n" for field in fields) + b"\r\n"


@pytest.mark.parametrize(
    "line",
    [b"M" * 33 + b" /health/live", b"M" * 5000 + b" /", b"CONNECT localhost:80", b"CONNECT /health/live", b"CONNECT *"],
    ids=["long", "very long", "authority", "path", "asterisk"],
)
def test_any_method_of_no_resource_is_501_and_ends_the_connection(live: Live, line: bytes) -> None:
    """RFC 9112, section 3, and RFC 9110, section 9.1."""
    with live.wire() as wire:
        wire.send(line + b" HTTP/1.1\r\nHost: localhost\r\n\r\n" + LIVE)
        assert refused(wire.reply()) == (501, "not_implemented", "close")
        assert wire.is_closed()


def test_any_blanks_around_the_value_of_a_field_are_no_part_of_it(live: Live, head: bytes) -> None:
    """RFC 9112, section 5.1, for every field that the service compares or converts."""
    blanks = b" \t "
    padded = [b"Host: localhost", *head.split(b"\r\n")[1:3], b"X-Request-ID: abc", b"Content-Length: %d" % len(TASK)]
    fields = b"".join(field.replace(b":", b":" + blanks, 1) + blanks + b"\r\n" for field in padded)
    with live.wire() as wire:
        wire.send(b"POST /api/v1/me/tasks HTTP/1.1\r\n" + fields + b"Expect: 100-continue" + blanks + b"\r\n\r\n")
        assert wire.reply("POST").status == 100
        wire.send(TASK)
        reply = wire.reply("POST")
        assert (reply.status, reply.headers["x-request-id"]) == (201, "abc")


@pytest.mark.parametrize(
    "target",
    [b"http:///health/live", b"http://:80/health/live", b"http://?x", b"http://a b/", b"http://ada@other/health/live"],
)
def test_any_absolute_form_without_a_host_of_the_grammar_is_400(live: Live, target: bytes) -> None:
    """RFC 9110, sections 4.2.1 and 4.2.4."""
    with live.wire() as wire:
        wire.send(b"GET " + target + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert refused(wire.reply()) == (400, "bad_request", "close")


@pytest.mark.parametrize("host", [b"a b", b"ada@localhost", b"localhost/x", b"localhost:8a"])
def test_any_invalid_host_is_400_beside_the_absolute_form_too(live: Live, host: bytes) -> None:
    """RFC 9112, section 3.2."""
    with live.wire() as wire:
        wire.send(b"GET http://localhost/health/live HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
        assert refused(wire.reply()) == (400, "bad_request", "close")


@pytest.mark.parametrize(
    "fields", [(b", 100-Continue",), (b"100-continue ,",), (b"100-continue", b""), (b"", b"100-continue")], ids=str
)
def test_create_task_body_announced_by_a_list_is_asked_for(live: Live, head: bytes, fields: tuple[bytes, ...]) -> None:
    """RFC 9110, sections 5.6.1 and 10.1.1."""
    announced = [b"Expect: " + field for field in fields]
    with live.wire() as wire:
        wire.send(post(head, *announced, b"Content-Length: %d" % len(TASK)))
        assert wire.reply("POST").status == 100
        wire.send(TASK)
        assert wire.reply("POST").status == 201


@pytest.mark.parametrize("fields", [(), (b"Content-Length: 0",)], ids=["none", "empty"])
def test_create_task_without_a_body_is_not_asked_for_one(live: Live, head: bytes, fields: tuple[bytes, ...]) -> None:
    with live.wire() as wire:
        wire.send(post(head, b"Expect: 100-continue", *fields))
        assert wire.reply("POST").status == 400
