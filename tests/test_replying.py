"""The reply as HTTP/1.1 writes it: what no operation of ours can be made to send. The rest is tested over sockets."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.types import Message

from todo_api.protocol import Protocol
from todo_api.replying import Reply, head


def start(*headers: tuple[bytes, bytes], status: int = 200) -> Message:
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


def body(text: bytes, more: bool = False) -> Message:
    return {"type": "http.response.body", "body": text, "more_body": more}


def sent(*messages: Message, method: str = "GET", version: tuple[int, int] = (1, 1)) -> tuple[Reply, bytes]:
    """The reply, and what is written for the messages but for the date."""
    written: list[bytes] = []
    connection: Any = SimpleNamespace(
        transport=SimpleNamespace(write=written.append),
        _closed=False,
        _flow_control=SimpleNamespace(write_paused=False),
        closes_after=lambda _: False,
    )
    reply = Reply(connection, SimpleNamespace(method=method, version=version))

    async def send() -> None:
        for message in messages:
            await reply.send(message)

    asyncio.run(send())
    lines = b"".join(written).split(b"\r\n")
    return reply, b"\r\n".join(line for line in lines if not line.startswith(b"date: "))


LENGTH = (b"content-length", b"2")


def test_reply_with_its_length_is_written_at_once() -> None:
    reply, text = sent(start(LENGTH), body(b"ab"))
    assert text == b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nab"
    assert reply.ended
    assert not reply.closes


def test_reply_without_a_length_goes_out_in_chunks() -> None:
    _, text = sent(start(), body(b"ab", more=True), body(b"", more=True), body(b"c"))
    assert text.endswith(b"transfer-encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n")


def test_reply_without_a_length_ends_the_connection_of_a_client_that_knows_no_chunks() -> None:
    reply, text = sent(start(), body(b"ab"), version=(1, 0))
    assert text == b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nab"
    assert reply.closes


@pytest.mark.parametrize(
    ("method", "status", "length"), [("HEAD", 200, True), ("GET", 304, False), ("GET", 204, False)], ids=str
)
def test_reply_that_has_no_body_sends_none(method: str, status: int, length: bool) -> None:
    reply, text = sent(start(LENGTH, status=status), body(b"ab"), method=method)
    assert text.endswith(b"\r\n\r\n")
    assert (b"content-length: 2" in text) is length
    assert reply.ended


@pytest.mark.parametrize("value", [b"a\r\nset-cookie: b", b"a\nb", b"a\rb", b"a\0b"], ids=repr)
def test_head_with_a_control_character_is_refused(value: bytes) -> None:
    with pytest.raises(ValueError, match="control"):
        head(200, [(b"location", value)], closes=True)
    with pytest.raises(ValueError, match="control"):
        head(200, [(value, b"x")], closes=False)


@pytest.mark.parametrize(
    "messages",
    [
        (body(b"ab"),),
        (start(), start()),
        (start(LENGTH), body(b"abc")),
        (start(LENGTH), body(b"a")),
        (start(LENGTH), body(b"ab"), body(b"")),
    ],
    ids=["no beginning", "two beginnings", "too long", "too short", "two ends"],
)
def test_messages_that_do_not_fit_are_refused(messages: tuple[Message, ...]) -> None:
    with pytest.raises(RuntimeError):
        sent(*messages)


@pytest.mark.parametrize(("text", "keeps"), [(b"ab", True), (b"a", False), (b"abc", False)], ids=repr)
def test_connection_does_not_go_on_after_a_reply_that_is_not_as_long_as_it_said(text: bytes, keeps: bool) -> None:
    async def app(_: Any, __: Any, send: Any) -> None:
        await send(start(LENGTH))
        await send(body(text))

    connection: Any = Protocol.__new__(Protocol)
    connection.app, connection._closed, connection._keepalive = app, False, 5
    connection.transport = SimpleNamespace(write=lambda _: None)
    connection.worker = SimpleNamespace(stopping=False)
    connection._flow_control = SimpleNamespace(write_paused=False)
    connection._body_receiver = SimpleNamespace(receive=None, _complete=True)
    request = SimpleNamespace(method="GET", version=(1, 1), _expect_100_continue=False, should_close=lambda: False)
    assert asyncio.run(connection._answer(request, {})) is keeps
