"""One kept connection of a client that never repeats a request by itself: what fails is seen to fail."""

import asyncio
from typing import NamedTuple

TIMEOUT = 12
"""Seconds without a reply after which a request counts as late, which nothing excuses."""


class Reply(NamedTuple):
    """A reply. The names of its headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class RefusedError(Exception):
    """The connection was not made: the request was not sent."""


class ClosedError(Exception):
    """The connection ended before the reply: what became of the request is not known."""


class LateError(Exception):
    """There was no reply in time."""


class Connection:
    """A connection that is opened when it is needed, and again when the server said that it ends."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, method: str, path: str, fields: dict[str, str], body: bytes = b"") -> Reply:
        """The reply. Raises RefusedError, ClosedError or LateError."""
        lines = [
            f"{method} {path} HTTP/1.1",
            "Host: localhost",
            *(f"{name}: {value}" for name, value in fields.items()),
        ]
        if body:
            lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        try:
            async with asyncio.timeout(TIMEOUT):
                reader, writer = await self._opened()
                return await self._exchange(reader, writer, "\r\n".join([*lines, "", ""]).encode() + body)
        except TimeoutError as error:
            self.close()
            raise LateError from error

    async def _opened(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams and self._streams[0].at_eof():
            self.close()
        if self._streams is None:
            try:
                self._streams = await asyncio.open_connection("127.0.0.1", self._port)
            except OSError as error:
                raise RefusedError(str(error)) from error
        return self._streams

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, sent: bytes) -> Reply:
        try:
            writer.write(sent)
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            status_line, *lines = head.split("\r\n")[:-2]
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
        except (OSError, asyncio.IncompleteReadError) as error:
            self.close()
            raise ClosedError(repr(error)) from error
        if headers.get("connection", "").lower() == "close":
            self.close()
        return Reply(int(status_line[9:12]), headers, body)

    def close(self) -> None:
        """Ends the connection, if there is one."""
        if self._streams:
            self._streams[1].close()
            self._streams = None
