"""What a reply is on the wire, and which messages of an application are refused."""

import asyncio
import logging
from typing import Any

import pytest
from uvicorn.protocols.http.flow_control import FlowControl

from todo_api.server.cycle import PIECE_BYTES, Cycle, render_head

START = {"type": "http.response.start", "status": 200}
LENGTH = {**START, "headers": [(b"content-length", b"4")]}
END = b"content-length: 4\r\n\r\n"


def body(content: bytes, *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": content, "more_body": more}


class Connection:
    """A connection whose client reads all at once."""

    is_last = False
    cycle: Cycle

    def __init__(self) -> None:
        self.written = b""
        self.writes = self.replies = 0

    def write(self, data: bytes) -> None:
        self.writelines([data])

    def writelines(self, parts: Any) -> None:
        self.writes += 1
        self.written += b"".join(parts)

    def has_capacity(self, size: int) -> bool:
        return True

    def account(self) -> None:
        """Note nothing."""

    def on_response(self) -> None:
        self.replies += 1


class LostConnection(Connection):
    """A connection whose client is gone after the first write. A transport of uvloop fails then."""

    def writelines(self, parts: Any) -> None:
        if self.cycle.disconnected:
            raise RuntimeError("the handler is closed")
        super().writelines(parts)
        self.cycle.disconnected = True


def reply(
    *messages: dict[str, Any],
    version: str = "1.1",
    method: str = "GET",
    keep_alive: bool = True,
    make: type[Connection] = Connection,
) -> Connection:
    """Send the messages and return the connection. Raise what the cycle raises."""
    connection: Any = make()

    async def send() -> None:
        cycle = Cycle(
            scope={"http_version": version, "method": method, "state": {}},  # type: ignore[typeddict-item]  # what it reads
            transport=connection,
            flow=FlowControl(connection),
            logger=logging.getLogger(),
            access_logger=logging.getLogger(),
            access_log=False,
            default_headers=[],
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=keep_alive,
            on_response=connection.on_response,
        )
        cycle.connection, connection.cycle = connection, cycle
        for message in messages:
            await cycle.send(message)

    asyncio.run(send())
    return connection  # type: ignore[no-any-return]  # as made above


def test_reply_with_content_length_is_one_write() -> None:
    connection = reply(LENGTH, body(b"four"))
    assert connection.written == b"HTTP/1.1 200 OK\r\n" + END + b"four"
    assert (connection.writes, connection.replies) == (1, 1)


def test_reply_without_content_length_is_chunked() -> None:
    connection = reply(START, body(b"four", more=True), body(b"", more=True), body(b"more"))
    assert connection.written.partition(b"\r\n")[2] == (
        b"transfer-encoding: chunked\r\n\r\n4\r\nfour\r\n4\r\nmore\r\n0\r\n\r\n"
    )


def test_reply_without_content_length_to_http_1_0_ends_with_the_connection() -> None:
    connection = reply(START, body(b"four", more=True), body(b""), version="1.0", keep_alive=False)
    assert connection.written.partition(b"\r\n")[2] == b"connection: close\r\n\r\nfour"


def test_reply_of_several_pieces_ends_when_its_client_is_gone() -> None:
    long = body(b"a" * 3 * PIECE_BYTES)
    length = {**START, "headers": [(b"content-length", b"%d" % len(long["body"]))]}
    assert reply(length, long).writes == 3
    lost = reply(length, long, make=LostConnection)
    assert (lost.writes, lost.replies) == (1, 0)


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
def test_reply_without_a_body_ends_with_its_head(method: str, status: int) -> None:
    connection = reply({**LENGTH, "status": status}, body(b""), method=method)
    assert connection.written.partition(b"\r\n")[2] == (END if status == 200 else b"\r\n")
    assert connection.replies == 1


@pytest.mark.parametrize(
    "messages",
    [
        (LENGTH, body(b"3 b")),
        (LENGTH, body(b"5 byt")),
        (LENGTH, body(b"four", more=True), body(b"!")),
        (LENGTH, LENGTH),
        (LENGTH, body(b"four"), body(b"")),
        (LENGTH, body(b"four"), LENGTH),
        (body(b"four"),),
    ],
    ids=["short", "long", "longer", "second-head", "second-end", "second-reply", "no-head"],
)
def test_message_that_does_not_fit_the_reply_is_an_error(messages: tuple[dict[str, Any], ...]) -> None:
    with pytest.raises(RuntimeError):
        reply(*messages)


@pytest.mark.parametrize(
    "field",
    [
        (b"x-a", b"1\r\nset-cookie: a=b"),
        (b"x-a", b"1\nset-cookie: a=b"),
        (b"x-a", b"1\r"),
        (b"x-a", b"1\0"),
        (b"x-a", b"\x7f"),
        (b"x-a: 1\r\nx-b", b"2"),
        (b"x a", b"1"),
        (b"x:a", b"1"),
        (b"", b"1"),
    ],
    ids=repr,
)
def test_header_field_with_a_character_that_breaks_its_line_is_an_error(field: tuple[bytes, bytes]) -> None:
    with pytest.raises(ValueError, match="invalid character"):
        render_head(200, [(b"etag", b'"1"'), field])
