"""From the event loop to the handlers, without a change of threads and with nothing built for a request that could be at start.

A handler is a plain function of what validation found; it runs in a greenlet on the event loop, in Flask's application context, and
waits for the database as if it blocked. This takes the place of a2wsgi, which hands each request over to threads several times, of
Flask's own routing of what is routed already, and of the decorators that Connexion builds for each request.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterator
from math import inf
from typing import Any

import flask
import orjson
from connexion.apps.flask import FlaskASGIApp
from connexion.middleware.abstract import RoutedAPI, RoutedMiddleware
from connexion.operations import AbstractOperation
from connexion.spec import Specification
from starlette.types import Receive, Scope, Send

from todo_api.database import spawn
from todo_api.http.admission import ANONYMOUS, AdmissionControl
from todo_api.http.authentication import IDENTITY
from todo_api.http.validation import ARGUMENTS
from todo_api.observability import Exchange, Spent

Reply = tuple[Any, int, dict[str, str]]
"""What a handler returns: the body, the status code, and headers. None is no body; bytes are sent as they are, with the
`Content-Type` among the headers, and so is each piece of an iterator of bytes, which is asked for it when the one before is drained."""

_Answer = tuple[int, list[tuple[bytes, bytes]], bytes | Iterator[bytes]]
_Call = tuple[Callable[..., Reply], dict[str, Any], Exchange]
_Run = Callable[[_Call], Awaitable[_Answer]]


class HandledOperation:
    """One operation with its handler."""

    def __init__(self, operation: AbstractOperation, run: _Run) -> None:
        self._handler: Callable[..., Reply] = operation.function
        wanted = inspect.signature(self._handler).parameters
        self._wants_identity = IDENTITY in wanted
        self._run = run

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers the request with what the handler returns."""
        extensions = scope["extensions"]
        arguments = extensions[ARGUMENTS]
        if self._wants_identity:
            arguments[IDENTITY] = extensions["connexion_context"]["token_info"][IDENTITY]
        exchange = scope["state"]["exchange"]
        status, headers, body = await self._run((self._handler, arguments, exchange))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        if isinstance(body, Iterator):
            if scope["method"] != "HEAD":
                await self._send_pieces(body, exchange, receive, send)
            body = b""
        await send({"type": "http.response.body", "body": body})

    async def _send_pieces(self, pieces: Iterator[bytes], exchange: Exchange, receive: Receive, send: Send) -> None:
        """Sends each piece. The next is made when the connection has taken the one before, and none for a client that has left."""
        # Sending would not tell: what nobody is there for, the server throws away.
        left = asyncio.ensure_future(_left(receive))
        try:
            while not left.done():
                _, _, piece = await self._run((_next, {"pieces": pieces}, exchange))
                if not piece:
                    break
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                # Some servers wait for the connection after they write, others before they write again. Nothing is written here.
                await send({"type": "http.response.body", "body": b"", "more_body": True})
        finally:
            left.cancel()


class HandlerAPI(RoutedAPI[HandledOperation]):
    """The operations of one contract."""

    def __init__(self, *args: Any, run: _Run, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._run = run
        self.add_paths()

    def make_operation(self, operation: AbstractOperation) -> HandledOperation:
        """The operation with its handler."""
        return HandledOperation(operation, self._run)


class Bridge(RoutedMiddleware[HandlerAPI]):
    """The innermost of the pipeline: runs the handlers."""

    def __init__(
        self, app: FlaskASGIApp, *, admission: AdmissionControl | None = None, spent: Spent = lambda: (0, 0.0, 0.0)
    ) -> None:
        """`admission` has the slots of all handlers, but for contracts that take none."""
        super().__init__(app)
        self._flask: flask.Flask = app.app
        self._spent = spent
        self._admission = admission or AdmissionControl()

    def add_api(self, specification: Specification, **kwargs: Any) -> HandlerAPI:
        """Learns the operations of a contract.

        Those of one that says `x-admission: false` take no slot.
        """
        run = self._spawn if specification.get("x-admission") is False else self._admit
        api = HandlerAPI(specification, next_app=self.app, run=run, **kwargs)
        self.apis[api.base_path].append(api)
        return api

    async def _spawn(self, call: _Call) -> _Answer:
        return await spawn(self._run, call)

    async def _admit(self, call: _Call) -> _Answer:
        handler, _, exchange = call
        since = inf if handler is _next else exchange.ready_at  # a reply that has begun is not refused half way
        user = exchange.subject or ANONYMOUS
        await self._admission.acquire(user, since)
        try:
            if exchange.left:
                raise asyncio.CancelledError  # its sender left while it waited
            return await spawn(self._run, call)
        finally:
            self._admission.release(user)

    def _run(self, call: _Call) -> _Answer:
        handler, arguments, exchange = call
        try:
            with self._flask.app_context():
                return _answer(*handler(**arguments))
        finally:
            exchange.spend(self._spent())


async def _left(receive: Receive) -> None:
    """Ends when the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _next(pieces: Iterator[bytes]) -> Reply:
    """The next piece as a body, empty after the last."""
    return next(pieces, b""), 200, {}


def _answer(body: Any, status: int, headers: dict[str, str]) -> _Answer:
    encoded = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    if body is None:
        return status, encoded, b""
    if isinstance(body, Iterator):
        return status, encoded, body
    if not isinstance(body, bytes):
        body = orjson.dumps(body, option=orjson.OPT_UTC_Z)
        encoded.append((b"content-type", b"application/json"))
    encoded.append((b"content-length", b"%d" % len(body)))
    return status, encoded, body
