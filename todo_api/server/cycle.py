"""A request and its reply over uvicorn's cycle: large bodies in chunks, always one reply."""

import asyncio
from typing import TYPE_CHECKING, Any

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

_OF_NAMES = b"!#$%&'*+.^_`|~-0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_OF_VALUES = bytes({*range(256)} - {*range(ord(" "))} - {0x7F} | {ord("\t")})
"""Characters of header fields: of a name, and of a value (RFC 9110, sections 5.1 and 5.5)."""


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
    return render_head(status, fields) + (body if with_body else b"")


def render_head(status: int, headers: Headers) -> bytes:
    """Return a reply's head. Raise ValueError if a field would break its line."""
    names = b"".join([name for name, _ in headers])
    head = STATUS_LINE[status] + b"".join([b"%b: %b\r\n" % field for field in headers])
    ends = b"\r\n" * (len(headers) + 1)
    if names.translate(None, _OF_NAMES) or head.translate(None, _OF_VALUES) != ends or b"\n: " in head:
        raise ValueError("a header field of the reply has an invalid character")
    return head + b"\r\n"


class Cycle(RequestResponseCycle):
    """A request and its reply."""

    scope: Any
    connection: "HttpProtocol"
    task: "asyncio.Task[None] | None" = None
    queued: QueuedRequest | None = None
    """The request at the gate, while it waits there."""

    failure: Exception | None = None
    """The error that `receive` raises in place of the rest of the body."""

    closes = False
    """Whether the reply closes the connection."""

    size = 0
    """Bytes that the reply holds until it is read."""

    _is_refused = False
    _has_body = False
    _length: int | None = None
    """Content-Length of the reply, if it has one."""

    _head = b""
    """The head until it is written with the first bytes of the body, in one system call."""

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

    def end_input(self) -> None:
        """Note that the client sends nothing more. It may be gone as well."""
        state = self.scope["state"]
        if "record" in state:
            state["record"].input_ended = True
        else:
            state["input_ended"] = True

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
        self.queued = None  # it refers to this cycle: leave no work for the garbage collector
        if self.transport.is_closing():
            return
        self.closes = self.connection.is_last or not self.keep_alive
        fields = [*self.default_headers, *([(b"connection", b"close")] if self.closes else [])]
        parts = [STATUS_LINE[status], *(b"%b: %b\r\n" % field for field in fields), head, b"\r\n"]
        self.transport.write(b"".join(parts if self.scope["method"] == "HEAD" else [*parts, body]))
        self.on_response()

    async def run_asgi(self, app: Any) -> None:
        """Run the application. It may be cancelled when the client has disconnected."""
        try:
            await app(self.scope, self.receive, self.send)
        except asyncio.CancelledError:
            pass
        except Exception:
            self.logger.exception("the application failed")
        if not (self.response_started or self.disconnected):
            await self.send_500_response()
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
        if self._is_refused or self.disconnected:
            return
        if message["type"] == "http.response.start":
            await self._begin(message["status"], message.get("headers", ()))
            return
        if not self.response_started or self.response_complete:
            raise RuntimeError(f"{message['type']} is out of place")
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
        if self.disconnected:  # since the piece before
            return
        if not self._has_body:
            body = b""
        elif self.chunked_encoding:
            last = b"" if more else b"0\r\n\r\n"
            body = b"".join((b"%x\r\n" % len(body), body, b"\r\n", last)) if body else last
        elif self._length is not None:
            self.expected_content_length -= len(body)
            if self.expected_content_length < 0 or (self.expected_content_length and not more):
                raise RuntimeError("the body is not as long as Content-Length says")
        if self._head and body:
            self.transport.writelines((self._head, body))  # not joined: large bodies are never copied
        elif self._head or body:
            self.transport.write(self._head or body)
        self._head = b""
        if not more:
            self.response_complete = True
            self.message_event.set()
            self.on_response()
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()

    async def _begin(self, status: int, headers: Headers) -> None:
        """Make the head, and decide whether to keep the connection (RFC 9110, section 10.1.1)."""
        if self.response_started:
            raise RuntimeError("the reply has begun already")
        for name, value in headers:
            if name == b"content-length":
                self._length = int(value)
        self._has_body = status not in BODILESS and self.scope["method"] != "HEAD"
        if status in BODILESS and self._length is not None:
            headers = [header for header in headers if header[0] != b"content-length"]
        elif self._has_body:
            held = PIECE_BYTES * 2 if self._length is None else self._length
            if held > HIGH_WATER and not self.scope["state"].get("shared"):
                if not self.connection.has_capacity(held):
                    await self._refuse()
                    return
                self.size = held
                self.connection.account()
            self.expected_content_length = self._length or 0
            self.chunked_encoding = self._length is None and self.scope["http_version"] == "1.1"
        waits = self.waiting_for_100_continue and self.more_body
        self.closes = self.connection.is_last or waits or not self.keep_alive
        fields = [*self.default_headers, *headers]
        if self.chunked_encoding:
            fields.append((b"transfer-encoding", b"chunked"))
        if self.closes:
            fields.append((b"connection", b"close"))
        self._head = render_head(status, fields)
        self.response_started, self.waiting_for_100_continue = True, False

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
        await self._begin(status, [*headers, *state["headers"]])
        await self._write(b"" if self.scope["method"] == "HEAD" else body, more=False)
