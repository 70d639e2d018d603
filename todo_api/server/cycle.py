"""A request and its reply over uvicorn's cycle: large bodies in chunks, always one reply."""

import asyncio
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from starlette.types import Message
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from todo_api.errors import Overloaded
from todo_api.http import INTERNAL_ERROR, PROBLEM_TYPES, SAFE_TYPE, render_problem
from todo_api.observability import RequestRecord
from todo_api.server.gate import QueuedRequest
from todo_api.server.head import Headers

if TYPE_CHECKING:
    from todo_api.server.protocol import HttpProtocol

HIGH_WATER = 16 * 1024
"""Bytes in a transport above which its application waits. Smaller bodies do not count."""

PIECE_BYTES = 256 * 1024
"""Maximum bytes of a body that are passed to the transport at once."""

BODILESS = frozenset({204, 304})
"""Statuses of replies without a body (RFC 9110, sections 15.3.5 and 15.4.5)."""


def refusal(error: Exception, record: RequestRecord, headers: Headers, *, with_body: bool) -> bytes:
    """Return the reply to a request that no application answers, and end its record."""
    status, fields, body = render_problem(error, record.request_id)
    record.status, record.code, record.client_disconnected = (
        status,
        PROBLEM_TYPES.get(type(error), INTERNAL_ERROR).code,
        True,
    )
    record.end()
    record.observers = ()  # they are called once
    fields = [*headers, *fields, (b"x-request-id", record.request_id.encode()), SAFE_TYPE, (b"connection", b"close")]
    head = b"".join([b"%b: %b\r\n" % field for field in fields])
    return b"%b%b\r\n%b" % (STATUS_LINE[status], head, body if with_body else b"")


class _HeadWithBody:
    """A transport that writes a head with its first body bytes, in one system call."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._head: bytes | None = None
        self.close = transport.close

    def write(self, data: bytes) -> None:
        """Keep the head, which comes first, and write the rest."""
        if self._head is None:
            self._head = data
        elif self._head:
            self._transport.writelines((self._head, data))  # not joined: large bodies are never copied
            self._head = b""
        else:
            self._transport.write(data)


class Cycle(RequestResponseCycle):
    """A request and its reply."""

    scope: Any
    connection: "HttpProtocol"
    task: "asyncio.Task[None] | None" = None
    queued: QueuedRequest | None = None
    """The request at the gate, while it waits there."""

    failure: Exception | None = None
    """What `receive` raises instead of the rest of the body."""

    closes = False
    """Whether the reply closes the connection."""

    size = 0
    """Bytes that the reply holds until it is read."""

    _is_refused = False

    def enter(self) -> None:
        """Take the whole request to the gate, unless it was started before its body was there."""
        if self.task is None:
            self.queued = self.connection.gate.enter(self)

    def leave(self) -> None:
        """Note that the client has disconnected."""
        if "record" in self.scope["state"]:
            self.scope["state"]["record"].client_disconnected = True
        elif self.queued:
            self.connection.gate.leave(self.queued)

    def start(self) -> None:
        """Start the application."""
        self.queued = None
        tasks = self.connection.tasks
        self.task = self.connection.loop.create_task(self.run_asgi(self.connection.app))
        tasks.add(self.task)
        self.task.add_done_callback(tasks.discard)

    def reply(self, status: int, head: bytes, body: bytes) -> None:
        """Send a reply in place of the application, which was not started."""
        self.response_started = self.response_complete = True
        self.queued = None  # which refers to this cycle: no work for the garbage collector
        if self.transport.is_closing():
            return
        self.closes = self.connection.is_last or not self.keep_alive
        fields = [*self.default_headers, *([(b"connection", b"close")] if self.closes else [])]
        parts = [STATUS_LINE[status], *(b"%b: %b\r\n" % field for field in fields), head, b"\r\n"]
        self.transport.write(b"".join(parts if self.scope["method"] == "HEAD" else [*parts, body]))
        self.on_response()

    async def run_asgi(self, app: Any) -> None:
        """Run the application. It may be cancelled when the client has disconnected."""

        async def run(scope: Any, receive: Any, send: Any) -> None:
            with suppress(asyncio.CancelledError):
                await app(scope, receive, send)

        await super().run_asgi(run)
        if not (self.response_complete or self.disconnected):
            self.connection.drop()  # the reply is incomplete

    async def receive(self) -> Any:
        """Return the next chunk of the body. Raise what ended it early."""
        if self.failure is None:
            message = await super().receive()
        if self.failure is not None:
            raise self.failure
        return message

    async def send(self, message: Any) -> None:
        """Send a message of the application."""
        if self._is_refused:
            return
        if message["type"] == "http.response.start":
            await self._begin(message)
            return
        body = message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > PIECE_BYTES:
            pieces = memoryview(body)
            last = (len(body) - 1) // PIECE_BYTES * PIECE_BYTES
            for start in range(0, last, PIECE_BYTES):
                await self._write(pieces[start : start + PIECE_BYTES], more=True)
            body = pieces[last:]
        await self._write(body, more=more)

    async def _write(self, body: bytes | memoryview, *, more: bool) -> None:
        if (
            self.chunked_encoding is False
            and self.scope["http_version"] == "1.0"
            and self.expected_content_length > sys.maxsize // 2
        ):
            self.expected_content_length = sys.maxsize if more else len(body)
        message: Any = {"type": "http.response.body", "body": body, "more_body": more}
        await super().send(message)
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()

    async def _begin(self, message: Message) -> None:
        """Write the head, and decide whether to keep the connection (RFC 9110, section 10.1.1)."""
        status, headers = message["status"], message.get("headers", ())
        length = next((int(value) for name, value in headers if name == b"content-length"), None)
        if status in BODILESS and length is not None:
            headers = [header for header in headers if header[0] != b"content-length"]
        elif status not in BODILESS and self.scope["method"] != "HEAD":
            held = PIECE_BYTES * 2 if length is None else length
            if held > HIGH_WATER and not self.scope["state"].get("shared"):
                if not self.connection.has_capacity(held):
                    await self._refuse()
                    return
                self.size = held
                self.connection.account()
            if length is None and self.scope["http_version"] == "1.0":  # to the end of the connection
                self.chunked_encoding, self.expected_content_length = False, sys.maxsize
        if self.connection.is_last or (self.waiting_for_100_continue and self.more_body):
            self.keep_alive = False
        if self.scope["method"] != "HEAD":
            self.transport = _HeadWithBody(self.transport)  # type: ignore[assignment]  # all that a cycle asks of one
        await super().send({"type": "http.response.start", "status": status, "headers": headers})
        self.closes, self.keep_alive = not self.keep_alive, True  # the end is the connection's

    async def _refuse(self) -> None:
        """Answer 503 instead of a reply that exceeds the capacity."""
        record = self.scope["state"]["record"]
        record.status, record.code = PROBLEM_TYPES[Overloaded].status, PROBLEM_TYPES[Overloaded].code
        await self._send_problem(Overloaded())
        self._is_refused = True

    async def send_500_response(self) -> None:
        """Answer a request that failed without a reply."""
        await self._send_problem(RuntimeError())

    async def _send_problem(self, error: Exception) -> None:
        state = self.scope["state"]
        status, headers, body = render_problem(error, state["request_id"])
        await self._begin({"type": "http.response.start", "status": status, "headers": [*headers, *state["headers"]]})
        await self._write(b"" if self.scope["method"] == "HEAD" else body, more=False)
