"""HTTP/1.1 where gunicorn's ASGI worker leaves something to be desired: how it refuses, and how it ends a connection.

gunicorn has no settings for these, so its classes are derived from, private methods included; each is tested over a socket.
"""
# gunicorn's methods have no annotations, and what its constructors set to None is never None here:
# mypy: disable-error-code="no-untyped-call, union-attr"

import asyncio
import re
from http import HTTPStatus
from typing import Any, ClassVar
from urllib.parse import unquote
from uuid import uuid4
from weakref import WeakSet

from gunicorn.asgi.parser import InvalidHeader, UnsupportedTransferCoding
from gunicorn.asgi.protocol import ASGIProtocol
from gunicorn.workers import gasgi

from todo_api.pipeline.exchange import OTHER, Exchange, Watcher
from todo_api.pipeline.rejections import BadRequest, HeaderFieldsTooLarge, NotImplementedByServer, UriTooLong
from todo_api.problems import INTERNAL_ERROR, KINDS, problem

DISCARDED_BYTES = 16 * 1024 * 1024
"""How much of a body that no operation wants is read and thrown away, so that its sender gets to read the answer."""

DISCARDED_SECONDS = 10
LINGER = 1
"""Seconds that a connection stays after a refusal, for the same reason: closing it at once would reset it."""

_HOST = re.compile(rb"(\[[0-9A-Fa-f:.]{2,45}\]|([A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63}){0,31}\.?)?)(:[0-9]{0,5})?")
_REFUSALS = {400: BadRequest, 414: UriTooLong, 431: HeaderFieldsTooLarge, 501: NotImplementedByServer}


class Protocol(ASGIProtocol):
    """One connection."""

    open: ClassVar["WeakSet[Protocol]"] = WeakSet()
    watchers: ClassVar[tuple[Watcher, ...]] = ()
    """Who is told of what is refused here. Of all else the application tells them."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begins."""
        self.open.add(self)
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Takes what arrives; after a refusal, throws it away."""
        if not self._closed:
            super().data_received(data)

    def end_if_idle(self) -> None:
        """Closes the connection if no request of it is being answered."""
        if self._awaiting_request:
            self._keepalive_timeout()

    def _feed_callback_parser(self, data: bytes) -> bool:
        try:
            fed: bool = super()._feed_callback_parser(data)
        except ValueError:  # a Content-Length of more digits than Python converts
            self._send_error_response(400, "")
            return False
        return fed

    def _on_headers_complete(self) -> bool:
        held_back: bool = super()._on_headers_complete()
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
        """As gunicorn's, then reads what is left of the body: the next request on this connection comes after it."""
        receiver = self._body_receiver
        keep: bool = await super()._serve_http_request(request, sockname, peername)
        if receiver._complete or receiver._disconnected:
            return keep
        read = 0
        try:
            async with asyncio.timeout(DISCARDED_SECONDS):
                while not (receiver._complete or receiver._disconnected) and read < DISCARDED_BYTES:
                    read += len((await receiver.receive()).get("body", b""))
        except TimeoutError:
            return False
        return keep

    def _will_close(self, request: Any, response_requires_close: bool) -> bool:
        """Also where a client waits for a 100 that will not come: it may leave out the body (RFC 9110, section 10.1.1)."""
        waits = request._expect_100_continue and not self._body_receiver._complete
        return bool(waits or super()._will_close(request, response_requires_close))

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
        headers += [(b"x-request-id", request_id.encode()), (b"connection", b"close")]
        head = b"".join(b"%s: %s\r\n" % header for header in headers)
        reason = HTTPStatus(told).phrase.encode()
        self._safe_write(b"HTTP/1.1 %d %s\r\n%s\r\n%s" % (told, reason, head, body))
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


class Worker(gasgi.ASGIWorker):
    """One worker process."""

    def init_process(self) -> None:
        """Serves until told to stop."""
        take_c_parser()
        gasgi.ASGIProtocol = Protocol  # type: ignore[misc]  # gunicorn's worker has no setting for it
        super().init_process()

    def handle_exit_signal(self) -> None:
        """SIGTERM: requests are finished; connections that wait for none would keep us for all of `graceful_timeout`."""
        super().handle_exit_signal()
        for protocol in list(Protocol.open):
            protocol.end_if_idle()


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
