"""HTTP/1.1 over uvicorn's protocol: refusals, time limits and the end of a connection.

`tests/server/test_private_surface.py` lists every name of uvicorn that is used here.
"""

import asyncio
from typing import ClassVar, NoReturn
from urllib.parse import unquote
from uuid import uuid4

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from todo_api.errors import Overloaded
from todo_api.http import (
    BadRequest,
    CorsFields,
    HeaderFieldsTooLarge,
    NotImplementedByServer,
    RequestTimeout,
    UriTooLong,
)
from todo_api.observability import OTHER, RequestRecord
from todo_api.server import limits
from todo_api.server.connections import Connections, has_unread
from todo_api.server.cycle import HIGH_WATER, Cycle, refusal
from todo_api.server.gate import AdmissionGate
from todo_api.server.head import FIRST_BYTE, PARSED_METHODS, Pieces, body_parser, framing, origin_form, read_method


class HttpProtocol(HttpToolsProtocol):
    """A connection. It parses one request at a time and keeps further bytes for later."""

    table: ClassVar[Connections]
    """The connections of this worker."""
    gate: ClassVar[AdmissionGate]
    cors: ClassVar[CorsFields]

    address: str | None = None
    since = 0.0
    """When the client last made progress."""
    held = 0
    cycle: Cycle | None  # type: ignore[assignment]  # never uvicorn's own
    _is_over_limit = False
    """Whether the connection is over the limit: only its health check is answered."""
    _rest = b""
    """Bytes that have arrived and are not parsed yet."""
    _pieces: Pieces
    _skips_body = False
    _body_parser: httptools.HttpRequestParser | None = None
    _method = b""
    _between_requests = True
    """Whether the next byte starts a request."""
    _in_head = False
    _began_at = 0.0
    """When the current phase began: head, body, or the discarding of a body after the reply."""
    _framing_bytes = _progress_bytes = _body_bytes = 0
    """Bytes since the last byte of a body, since the client last made progress, and of the body."""
    _is_first_request = True
    _at_end = False
    """Whether the client has closed its side."""
    _ending = False
    """Whether nothing more is read, and the connection closes after its last reply."""
    _refusal: Exception | None = None
    _unread = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start. If over the limit, evict a waiting connection or refuse this one."""
        super().connection_made(transport)  # type: ignore[arg-type]  # of a stream, always
        self.transport.set_write_buffer_limits(high=HIGH_WATER)
        self.address = self.table.address_of(self.client[0]) if self.client else None
        self._is_over_limit = not self.table.add(self)
        self.since = self._began_at = self.loop.time()
        self.loop.call_soon(self._wait_first)

    def connection_lost(self, exc: Exception | None) -> None:
        """End, and mark the running request as disconnected."""
        self.table.remove(self)
        self._rest = b""
        if self.cycle is not None:
            self.cycle.leave()
        super().connection_lost(exc)

    def _wait_first(self) -> None:
        """Wait for the client from the next turn on, so new connections do not evict each other."""
        if self._is_first_request and self._between_requests and not self._ending and not self._is_answering:
            self._wait()

    def _wait(self) -> float:
        """Wait for the client, which has just made progress. Return the time."""
        self.table.waiting.pop(self, None)
        self.table.waiting[self] = None
        self.since = self.loop.time()
        self._progress_bytes = 0
        return self.since

    @property
    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def data_received(self, data: bytes) -> None:
        """Parse what arrives; after the end, discard it."""
        if not self._ending:
            self._feed(self._rest + data if self._rest else data)

    def eof_received(self) -> bool:  # type: ignore[override]  # asyncio's own says bool or None
        """Return whether to keep the connection for the replies (RFC 9112, section 9.6)."""
        has_replies = self._is_answering or self.flow.write_paused
        self._at_end = bool(self._between_requests and not self._ending and has_replies)
        if self.cycle is not None:
            self.cycle.end_input()
        return self._at_end

    def _feed(self, data: bytes) -> None:
        """Parse piece by piece. No piece goes beyond the end of a request."""
        self._rest = b""
        start = 0
        try:
            while start < len(data) and not self._ending:
                if self._between_requests:
                    start = self._begin(data, start)
                    if self._between_requests:
                        break
                start = self._parse(data, start)
            if self.cycle is not None and not (self._between_requests or self._in_head or self.cycle.task):
                self.cycle.start()  # its body is still to come
        except httptools.HttpParserCallbackError as error:
            if self._refusal is None:
                self.logger.error("the protocol has failed", exc_info=error.__context__)
            self._refuse(self._refusal or RuntimeError())
        except httptools.HttpParserError:
            self._refuse(self._refusal or BadRequest())
        except (BadRequest, UriTooLong, NotImplementedByServer) as error:
            self._refuse(error)

    def _begin(self, data: bytes, start: int) -> int:
        """Check the request line. Keep it until it is whole and the last reply is out."""
        if self._is_answering or self.flow.write_paused:
            self._keep(data[start:])
            self.flow.pause_reading()
            return start
        while data[start : start + 1] in (b"\r", b"\n"):  # blank lines before a request line (RFC 9112, section 2.2)
            start += 1
        if start == len(data):
            return start
        if not self._in_head:
            self._in_head, self._method, self.cycle, self.headers = True, b"", None, []
            self._began_at = self._wait()
        end = data.find(b"\n", start, start + limits.LINE_BYTES) + 1
        if not end:
            if len(data) - start >= limits.LINE_BYTES:
                raise UriTooLong
            if not FIRST_BYTE.match(data, start):
                raise BadRequest
            self._keep(data[start:])
            return start
        method = read_method(data, start, end)
        self._between_requests, self._method = False, method
        self._framing_bytes, self._body_bytes, self._pieces, self._body_parser = 0, 0, Pieces(), None
        if method not in PARSED_METHODS:  # the parser would refuse it, and needs only any method
            self.parser.feed_data(b"POST")
            self._framing_bytes = len(method)
            start += len(method)
        return start

    def _keep(self, data: bytes) -> None:
        """Keep bytes that are not parsed yet."""
        if not self.has_capacity(len(data)):
            self.drop()
            return
        self._rest = data
        self.account()

    def _parse(self, data: bytes, start: int) -> int:
        """Parse to the next position where a request may end, and return it."""
        end = self._pieces.end(data, start)
        piece = data[start:end]
        self._framing_bytes += len(piece)
        self._progress_bytes += len(piece)
        if self._in_head and self._framing_bytes > limits.HEAD_BYTES:
            self._reject(HeaderFieldsTooLarge())
        try:
            (self._body_parser or self.parser).feed_data(piece)
        except httptools.HttpParserUpgrade:
            # A server may ignore an upgrade (RFC 9110, section 7.8), but the parser skips the body.
            self.parser = httptools.HttpRequestParser(self)
            if self._skips_body:
                self._skips_body = False
                self._body_parser = body_parser(self.on_body, self.on_message_complete, self._pieces.body_left)
        if self._framing_bytes > limits.HEAD_BYTES and not self._between_requests:
            self._reject(HeaderFieldsTooLarge())
        if not self._in_head and not self._between_requests:
            if self._progress_bytes >= limits.RATE_BYTES:
                self._wait()
            if self._body_bytes > limits.DISCARDED_BYTES:
                self._end()
        return end

    def _reject(self, error: Exception) -> NoReturn:
        self._refusal = error
        raise httptools.HttpParserError

    def on_header(self, name: bytes, value: bytes) -> None:
        """Add a header field. Discard trailers (RFC 9110, section 6.5.1)."""
        if not self._in_head:
            return
        if len(name) + len(value) > limits.FIELD_BYTES or len(self.headers) >= limits.FIELDS:
            self._reject(HeaderFieldsTooLarge())
        self.headers.append((name.lower(), value.rstrip(b" \t")))  # blanks are no part of it (RFC 9112, section 5.1)

    def on_headers_complete(self) -> None:
        """Check the head and start the application."""
        self._in_head, self._framing_bytes = False, 0
        version = self.parser.get_http_version()
        try:
            self._pieces.body_left, expects_continue, has_body = framing(self.headers, version)
            target = origin_form(self._method, self.url, self.headers)
        except (BadRequest, NotImplementedByServer) as error:
            self._reject(error)
        path, _, query = target.partition(b"?")
        if self._is_over_limit and path != limits.LIVENESS:
            self._reject(Overloaded())
        text = path.decode("ascii")
        scope = self.scope
        scope["http_version"], scope["method"] = version, self._method.decode("ascii")
        scope["raw_path"], scope["query_string"] = path, query
        scope["path"] = unquote(text) if "%" in text else text
        self.cycle = Cycle(
            scope=scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=expects_continue,
            keep_alive=version == "1.1" and not self._is_over_limit and self.parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        self.cycle.connection = self
        self._began_at = self._wait()
        self._skips_body = has_body and self.parser.should_upgrade()

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        self._framing_bytes = 0
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Note that the request is whole: the client now waits for the reply."""
        if self._skips_body:
            return
        self._between_requests = True
        super().on_message_complete()
        if self.cycle is not None and not self.cycle.response_complete:
            self.table.waiting.pop(self, None)
            self.cycle.enter()

    def on_response_complete(self) -> None:
        """Continue with the next request, which may have arrived already."""
        cycle = self.cycle
        self.server_state.total_requests += 1
        self._is_first_request = False
        if self.transport.is_closing() or cycle is None:
            return
        self._began_at = self._wait()
        self.account()
        if cycle.closes or self._refusal is not None:
            self._end()
        else:
            self._go_on()

    def _go_on(self) -> None:
        if self.flow.write_paused or self._is_answering or self._ending:
            return
        self.flow.resume_reading()
        if self._rest:
            self._feed(self._rest)
        if self._at_end and not self._is_answering:
            self._end()

    def pause_writing(self) -> None:
        """Wait for the client, which reads more slowly than the reply is written."""
        super().pause_writing()
        self._unread = self.transport.get_write_buffer_size()
        self._wait()

    def resume_writing(self) -> None:
        """Note that the client has read."""
        super().resume_writing()
        if self._between_requests and self._is_answering:
            self.table.waiting.pop(self, None)
        else:
            self._wait()
        self.account()
        self._go_on()

    def account(self) -> None:
        """Record how many bytes the connection holds."""
        held = len(self._rest)
        if self.cycle is not None and not self.cycle.response_complete:
            held += self.cycle.size
        elif self.flow.write_paused:
            held += self.transport.get_write_buffer_size()
        if held != self.held:
            self.table.hold(self, held)

    def has_capacity(self, size: int) -> bool:
        """Return whether the connection may hold `size` more bytes."""
        return self.table.has_capacity(size, self.loop.time())

    @property
    def is_last(self) -> bool:
        """Return whether the connection closes after the reply that starts now."""
        return self.table.stopping_since is not None or (self._at_end and not self._rest) or self._refusal is not None

    def check(self, now: float) -> None:
        """Enforce the time limits while the connection waits for its client."""
        unread = self.transport.get_write_buffer_size()
        if unread and (self._ending or self.flow.write_paused):
            if unread < self._unread:
                self._wait()
            elif now - self.since > self.table.limits.idle_seconds:
                self.drop()
            self._unread = unread
        elif self._ending:
            if now - self.since > limits.LINGER:
                self.drop()
        elif self._in_head:
            if now - self._began_at > self.table.limits.head_seconds:
                self._refuse(RequestTimeout())
        elif not self._between_requests:
            self._check_body(now)
        else:
            self._check_idle(now)

    def _check_idle(self, now: float) -> None:
        longest, stopping_since = self.table.limits, self.table.stopping_since
        if now - self.since > (longest.head_seconds if self._is_first_request else longest.idle_seconds):
            self.drop()
        elif stopping_since is not None and now - stopping_since > limits.QUIET and not has_unread(self.transport):
            self._end()

    def _check_body(self, now: float) -> None:
        if self.cycle is None or self.cycle.response_complete:
            if now - self._began_at > limits.DISCARDED_SECONDS:
                self._end()
        elif not self.flow.read_paused and (
            now - self._began_at > self.table.limits.body_seconds or now - self.since > limits.RATE_SECONDS
        ):
            self._refusal = self.cycle.failure = RequestTimeout()
            self.cycle.message_event.set()

    def _refuse(self, error: Exception) -> None:
        """Answer with a problem document unless the reply has started, and close."""
        self._refusal = error
        cycle, state = self.cycle, {}
        if cycle is not None:
            if cycle.response_started:
                self._ending = True  # close after the reply
                if cycle.response_complete:
                    self._end()
                return
            state = self.scope["state"]
            cycle.disconnected = True
            cycle.message_event.set()
        record = state.get("record")
        if record is None:
            record = RequestRecord(OTHER, uuid4().hex, None, self.table.observers)
            if cycle is not None and cycle.task:
                cycle.task.cancel()  # it has not started
        headers = [*self.server_state.default_headers, *self.cors.of(self.headers, is_whole=cycle is not None)]
        self.transport.write(refusal(error, record, headers, with_body=self._method != b"HEAD"))
        self._end()

    def _end(self) -> None:
        """Close our side after all is written, and the rest when the client could read it."""
        self._ending, self._rest = True, b""
        self.account()
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        self._wait()
        if self._at_end:
            self.transport.close()
        elif self.transport.can_write_eof():
            self.transport.write_eof()

    def drop(self) -> None:
        """Abort the connection."""
        self._ending = True
        self.table.remove(self)
        self.transport.abort()

    def shutdown(self) -> None:
        """Do nothing: the table tells connections that the worker stops."""
