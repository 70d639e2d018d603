"""HTTP/1.1 where gunicorn's ASGI worker leaves something to be desired: how it refuses, and how it ends a connection.

gunicorn has no settings for these, so its classes are derived from, private methods included; each is tested over a socket.
"""
# gunicorn's methods have no annotations, and what its constructors set to None is never None here:
# mypy: disable-error-code="no-untyped-call, union-attr"

import asyncio
import logging
import re
import select
from typing import Any, ClassVar, NamedTuple
from urllib.parse import unquote
from uuid import uuid4
from weakref import WeakSet

from gunicorn.asgi.parser import InvalidHeader, UnsupportedTransferCoding
from gunicorn.asgi.protocol import ASGIProtocol

from todo_api.pipeline.envelope import SAFE_TYPE
from todo_api.pipeline.exchange import OTHER, Exchange, Watcher
from todo_api.pipeline.rejections import (
    BadRequest,
    HeaderFieldsTooLarge,
    NotImplementedByServer,
    Overloaded,
    RequestTimeout,
    UriTooLong,
)
from todo_api.problems import INTERNAL_ERROR, KINDS, problem
from todo_api.replying import Reply, head

DISCARDED_BYTES = 16 * 1024 * 1024
"""How much of a body that no operation wants is read and thrown away, so that its sender gets to read the answer."""

DISCARDED_SECONDS = 10
LINGER = 1
"""Seconds that a connection stays after a refusal, for the same reason: closing it at once would reset it."""

LEAVING_SECONDS = 30
"""Seconds that a request goes on after its sender has left: longer than any takes, so that the log has all that it has done."""

_HOST = re.compile(rb"(\[[0-9A-Fa-f:.]{2,45}\]|([A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63}){0,31}\.?)?)(:[0-9]{0,5})?")
_REFUSALS = {
    400: BadRequest,
    408: RequestTimeout,
    414: UriTooLong,
    431: HeaderFieldsTooLarge,
    501: NotImplementedByServer,
    503: Overloaded,
}


_log = logging.getLogger(__name__)


class Limits(NamedTuple):
    """What a client may use: seconds for the head of a request, and connections of one worker."""

    head_seconds: float
    connections: int


class _Places:
    """Connections without a whole request, those that have had the chance to send one for longest first."""

    def __init__(self) -> None:
        self.slow: dict[Protocol, None] = {}
        """Those that have begun a request, or have never made one."""
        self.idle: dict[Protocol, None] = {}

    def leave(self, protocol: "Protocol") -> None:
        self.slow.pop(protocol, None)
        self.idle.pop(protocol, None)

    def make(self, newcomer: "Protocol") -> bool:
        """Ends one of them. False where every other connection has a request that is being answered."""
        for places in (self.slow, self.idle):
            for protocol in places:
                if protocol is not newcomer:
                    protocol.give_up()
                    return True
        return False


class Protocol(ASGIProtocol):
    """One connection."""

    open: ClassVar["WeakSet[Protocol]"] = WeakSet()
    watchers: ClassVar[tuple[Watcher, ...]] = ()
    """Who is told of what is refused here. Of all else the application tells them."""

    limits: ClassVar[Limits]
    places: ClassVar[_Places] = _Places()
    _head_timer: asyncio.TimerHandle | None = None
    _unread_timer: asyncio.TimerHandle | None = None
    _idle_since = 0.0
    _begun = False
    """Whether a part of a request's head is there, and not all of it."""
    _state: ClassVar[dict[str, Any]] = {}
    """The state of the last request, with its exchange."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begins. Where there are too many connections, one that has kept a request waiting makes room, else this one is refused."""
        self.open.add(self)
        super().connection_made(transport)
        self._await_head()
        if self.worker.nr_conns > self.limits.connections and not self.places.make(self):
            self._send_error_response(503, "")

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends, and says so to the request that is being answered."""
        self.places.leave(self)
        self._stop_awaiting_head()
        self.resume_writing()  # nothing waits any more for the client to read
        if "exchange" in self._state:
            self._state["exchange"].left = True
        super().connection_lost(exc)
        super()._cancel_keepalive_timer()

    def pause_writing(self) -> None:
        """The client does not read as fast as it is sent to."""
        super().pause_writing()
        if self._unread_timer is None:
            self._await_reading(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """The client has read."""
        super().resume_writing()
        if self._unread_timer is not None:
            self._unread_timer.cancel()
            self._unread_timer = None

    def _await_reading(self, unread: int) -> None:
        """Gives it as long to take some of that as a connection may be idle."""
        self._unread_timer = self.worker.loop.call_later(self._keepalive, self._check_reading, unread)

    def _check_reading(self, unread: int) -> None:
        left = self.transport.get_write_buffer_size()
        if left >= unread:
            self.transport.abort()
        else:
            self._await_reading(left)

    def _build_http_scope(self, *about: Any) -> Any:
        scope = super()._build_http_scope(*about)
        self._state = scope["state"]  # type: ignore[misc]  # each connection's own from here on
        return scope

    def _await_head(self) -> None:
        self._head_timer = self.worker.loop.call_later(self.limits.head_seconds, self._head_is_late)
        self.places.slow[self] = None

    def _stop_awaiting_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
            self._begun = False
            self.places.slow.pop(self, None)

    def _head_is_late(self) -> None:
        if self._begun:
            self._send_error_response(408, "")
        else:
            self.give_up()

    def _arm_keepalive_timer(self) -> None:
        """Idle from now on. The timer of an earlier time will do: to make one for each request costs more than to look once it is over."""
        self.places.idle[self] = None
        self._idle_since = self.worker.loop.time()
        if self._keepalive_handle is None:
            super()._arm_keepalive_timer()

    def _cancel_keepalive_timer(self) -> None:
        """Idle no more."""
        self.places.idle.pop(self, None)

    def _keepalive_timeout(self) -> None:
        self._keepalive_handle = None
        if self not in self.places.idle:
            return
        left = self._idle_since + self._keepalive - self.worker.loop.time()
        if left > 0:
            self._keepalive_handle = self.worker.loop.call_later(left, self._keepalive_timeout)
        else:
            super()._keepalive_timeout()

    def give_up(self) -> None:
        """Ends a connection without a whole request, without a word: whoever kept it open is not waiting for one."""
        self.places.leave(self)
        super()._keepalive_timeout()

    def _close_transport(self) -> None:
        super()._close_transport()
        if self.transport is not None and self.transport.get_write_buffer_size():
            self.worker.loop.call_later(self._keepalive, self.transport.abort)

    def data_received(self, data: bytes) -> None:
        """Takes what arrives; after a refusal, throws it away."""
        if not self._closed:
            super().data_received(data)

    def end_if_idle(self) -> None:
        """Ends the connection, unless a request of it is being answered or waits to be read."""
        if self._awaiting_request and not self._closed and not self._has_more():
            self._linger()

    def cut(self) -> None:
        """Ends the connection, whatever goes on."""
        if not self.transport.is_closing():
            self.transport.abort()

    def _has_more(self) -> bool:
        poll = select.poll()
        poll.register(self.transport.get_extra_info("socket").fileno(), select.POLLIN)
        return bool(poll.poll(0))

    def _feed_callback_parser(self, data: bytes) -> bool:
        try:
            fed: bool = super()._feed_callback_parser(data)
        except ValueError:  # a Content-Length of more digits than Python converts
            self._send_error_response(400, "")
            return False
        if self._current_request is None and not self._closed:
            self._begun = True
            if self._head_timer is None:
                self._cancel_keepalive_timer()
                self._await_head()
        return fed

    def _on_headers_complete(self) -> bool:
        held_back: bool = super()._on_headers_complete()
        if self._head_timer is not None:
            self._stop_awaiting_head()
        request = self._current_request
        target: str = request.uri
        if not target.startswith("/"):
            _take_absolute_form(request)
        hosts: list[bytes] = []
        codings: list[bytes] = []
        for name, value in request.headers_bytes:
            if name == b"host":
                hosts.append(value)
            elif name == b"transfer-encoding":
                codings.append(value.strip().lower())
            elif not name:
                raise InvalidHeader("a folded line")  # RFC 9112, section 5.2
        if not all(map(_HOST.fullmatch, hosts)) or (not hosts and request.version >= (1, 1)):
            raise InvalidHeader("no Host, or not a host")  # RFC 9112, section 3.2
        if codings and codings != [b"chunked"]:
            raise UnsupportedTransferCoding("not chunked alone")  # RFC 9112, section 6.1
        if request._has_upgrade:
            _ignore_upgrade(request)
        return held_back

    async def _serve_http_request(self, request: Any, sockname: Any, peername: Any) -> bool:
        """Answers, then reads what is left of the body: the next request comes after it.

        gunicorn makes a task for each, since an application may go on after its reply. Ours does not.
        """
        receiver = self._body_receiver
        keeps = await self._answer(request, self._build_http_scope(request, sockname, peername))
        if receiver._complete or receiver._disconnected:
            return keeps
        read = 0
        try:
            async with asyncio.timeout(DISCARDED_SECONDS) as time:
                while not (receiver._complete or receiver._disconnected or time.expired()) and read < DISCARDED_BYTES:
                    read += len((await receiver.receive()).get("body", b""))
        except TimeoutError:
            return False
        return keeps

    async def _answer(self, request: Any, scope: Any) -> bool:
        """Runs the application. Whether the connection can go on."""
        reply = Reply(self, request)
        try:
            await self.app(scope, self._body_receiver.receive, reply.send)
        except asyncio.CancelledError:  # the client has left, and what it asked for has had its time
            return False
        except Exception:
            _log.exception("the application has failed")
            reply.closes = True
        if not reply.begun:
            self._send_error_response(500, "")
        return reply.ended and not reply.closes

    def closes_after(self, request: Any) -> bool:
        """Whether the connection ends with the reply, as where a client that waits for a 100 may leave out the body (RFC 9110, 10.1.1)."""
        receiver = self._body_receiver
        receiver.expect_continue = False  # which comes before the reply, or not at all
        waits = request._expect_100_continue and not receiver._complete
        return bool(waits or self.worker.stopping or not self._keepalive or request.should_close())

    def _send_error_response(self, status: int, message: str, _: Any = ()) -> None:
        """Tells what gunicorn refuses before any application sees it as a problem document, without quoting it."""
        if self._closed:
            return  # the sender has left, which gunicorn takes for an application that did not answer
        request_id = uuid4().hex
        error = _REFUSALS[status]() if status in _REFUSALS else RuntimeError(message)
        told, headers, body = problem(error, request_id)
        exchange = Exchange(OTHER, request_id, None, self.watchers)
        exchange.status, exchange.code = told, KINDS.get(type(error), INTERNAL_ERROR).code
        exchange.end()
        headers += [(b"x-request-id", request_id.encode()), SAFE_TYPE]
        self._safe_write(head(told, headers, closes=True) + body)
        self._linger()

    def _linger(self) -> None:
        """Ends our side of the connection now, and the rest once the client had the time to read."""
        if self._closed:
            return
        self._closed = True
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.worker.loop.call_later(LINGER, self.transport.close)
        self._request_ready.set()


def take_c_parser() -> None:
    """Has gunicorn look for its C parser, before a derived class asks: it notes it on the class that asks, and looks for it on its own."""
    ASGIProtocol._check_h1c_protocol_available()


def _take_absolute_form(request: Any) -> None:
    """Makes `GET http://host/path` into `GET /path`: a server must accept it (RFC 9112, section 3.2.2)."""
    _, separator, rest = request.raw_path.partition(b"://")
    if separator:
        _, slash, path = rest.partition(b"/")
        request.raw_path = slash + path or b"/"
        request.path = unquote(request.raw_path.decode("ascii"))


def _ignore_upgrade(request: Any) -> None:
    """There is nothing to upgrade to, and a server may ignore the field (RFC 9110, section 7.8), before Flask takes it for a websocket."""
    request.headers_bytes = [(name, value) for name, value in request.headers_bytes if name != b"upgrade"]
    request._has_upgrade = False
