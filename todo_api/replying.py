"""The reply to one request, as HTTP/1.1 writes it (RFC 9112).

gunicorn's own way to it goes through each header three times, for messages that our application does not send.
"""
# what is asked of the connection has no annotations:
# mypy: disable-error-code="no-untyped-call"

from collections.abc import Sequence
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from time import time
from typing import Any, Protocol

from starlette.types import Message

BODILESS = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})
"""Statuses whose replies end with their head (RFC 9110, sections 15.3.5 and 15.4.5)."""

_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}

Headers = Sequence[tuple[bytes, bytes]]


@lru_cache(maxsize=1)
def _date_line(second: int) -> bytes:
    return f"date: {formatdate(second, usegmt=True)}\r\n".encode()


def head(status: int, headers: Headers, *, closes: bool) -> bytes:
    """The head of a reply, with the date. Raises ValueError where a header holds what would end its line, or another control."""
    fields = b"".join([b"%b: %b\r\n" % header for header in headers])
    if closes:
        fields += b"connection: close\r\n"
    lines = len(headers) + closes
    if not fields.count(b"\r") == fields.count(b"\n") == lines or b"\0" in fields:
        raise ValueError("a header of the reply holds a control character")
    return b"%b%b%b\r\n" % (_STATUS_LINES[status], fields, _date_line(int(time())))


class Connection(Protocol):
    """What a reply asks of its connection."""

    transport: Any
    _closed: bool
    _flow_control: Any

    def closes_after(self, request: Any) -> bool:
        """Whether the connection ends with the reply to this request."""


class Reply:
    """Takes the messages of an application, and writes them. What comes after the client has left is thrown away."""

    def __init__(self, connection: Connection, request: Any) -> None:
        self._connection = connection
        self._request = request
        self._head = b""
        self._left: int | None = None
        """Bytes of the body that are due, None where it goes out in chunks or to the end of the connection."""
        self._has_body = self._is_chunked = False
        self.begun = self.ended = self.closes = False

    async def send(self, message: Message) -> None:
        """Takes one message. Raises RuntimeError where it does not fit what went before it."""
        connection = self._connection
        if connection._closed:  # gunicorn has no other word for it
            return
        if message["type"] == "http.response.start":
            self._begin(message["status"], message.get("headers", ()))
            return
        if not self.begun or self.ended:
            raise RuntimeError(f"{message['type']} does not belong here")
        self.ended = not message.get("more_body", False)
        body = self._framed(message.get("body", b"")) if self._has_body else b""
        written, self._head = self._head + body if self._head else body, b""
        if written:
            connection.transport.write(written)
            if connection._flow_control.write_paused:
                await connection._flow_control.drain()

    def _begin(self, status: int, headers: Headers) -> None:
        if self.begun:
            raise RuntimeError("the reply has begun already")
        length = None
        for name, value in headers:
            if name == b"content-length":
                length = int(value)
        self._has_body = status not in BODILESS and self._request.method != "HEAD"
        self.closes = self._connection.closes_after(self._request)
        if status in BODILESS and length is not None:
            headers = [header for header in headers if header[0] != b"content-length"]
        elif self._has_body:
            self._left = length
            self._is_chunked = length is None and self._request.version >= (1, 1)
            if self._is_chunked:
                headers = [*headers, (b"transfer-encoding", b"chunked")]
            elif length is None:
                self.closes = True
        self._head = head(status, headers, closes=self.closes)
        self.begun = True

    def _framed(self, body: bytes) -> bytes:
        if self._is_chunked:
            chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            return chunk + b"0\r\n\r\n" if self.ended else chunk
        if self._left is not None:
            self._left -= len(body)
            if self._left < 0 or (self.ended and self._left):
                raise RuntimeError("the body is not as long as Content-Length says")
        return body
