"""Dispatch: runs handlers on the event loop, without threads or per-request setup.

A handler is a plain function of the validated arguments. It runs in a greenlet, in Flask's
application context, and waits for the database as if it blocked. This replaces a2wsgi, which
switches threads several times per request, Flask's routing and Connexion's decorators.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterator
from math import inf
from typing import Any

import flask
import orjson
from connexion.apps.flask import FlaskASGIApp
from connexion.operations import AbstractOperation
from connexion.spec import Specification
from starlette.types import ASGIApp, Receive, Scope, Send

from todo_api.admission import ANONYMOUS, AdmissionControl, Reservation
from todo_api.database import spawn, spent
from todo_api.http.authentication import IDENTITY
from todo_api.http.connexion_app import OperationMiddleware
from todo_api.http.validation import ARGUMENTS
from todo_api.observability import RequestRecord

Reply = tuple[Any, int, dict[str, str]]
"""Body, status code and headers of a reply, as a handler returns them.

None is an empty body. Bytes, or an iterator of bytes, are sent as they are with the handler's
`Content-Type`; the iterator is asked for a chunk once the previous one is drained.
"""

_EncodedReply = tuple[int, list[tuple[bytes, bytes]], bytes | Iterator[bytes]]
_Call = tuple[Callable[..., Reply], dict[str, Any], RequestRecord, Reservation | None]
_Run = Callable[[_Call], Awaitable[_EncodedReply]]


class DispatchedOperation:
    """An operation and its handler."""

    def __init__(self, operation: AbstractOperation, run: _Run) -> None:
        self._handler: Callable[..., Reply] = operation.function
        wanted = inspect.signature(self._handler).parameters
        self._wants_identity = IDENTITY in wanted
        self._run = run

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the handler and send its reply."""
        extensions = scope["extensions"]
        arguments = extensions[ARGUMENTS]
        if self._wants_identity:
            arguments[IDENTITY] = extensions["connexion_context"]["token_info"][IDENTITY]
        state = scope["state"]
        record = state["record"]
        status, headers, body = await self._run((self._handler, arguments, record, state.get("reservation")))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        if not isinstance(body, bytes):
            if scope["method"] != "HEAD":
                await self._send_chunks(body, record, receive, send)
            body = b""
        await send({"type": "http.response.body", "body": body})

    async def _send_chunks(self, chunks: Iterator[bytes], record: RequestRecord, receive: Receive, send: Send) -> None:
        """Send each chunk when the previous one is drained. Stop if the client disconnects."""
        # `send` does not raise: the server discards what it sends to a closed connection.
        disconnected = asyncio.ensure_future(_disconnected(receive))
        try:
            while not disconnected.done():
                _, _, chunk = await self._run((_next_chunk, {"chunks": chunks}, record, None))
                if not chunk:
                    break
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
                # An empty chunk: some servers wait for the drain only before the next write.
                await send({"type": "http.response.body", "body": b"", "more_body": True})
        finally:
            disconnected.cancel()


class HandlerDispatch(OperationMiddleware):
    """The innermost middleware: runs the handlers."""

    def __init__(self, app: FlaskASGIApp, *, admission: AdmissionControl) -> None:
        """`admission` limits the handlers, but not those of contracts with `x-admission: false`."""
        super().__init__(app)
        self._flask: flask.Flask = app.app
        self._admission = admission

    def make_operation(
        self, operation: AbstractOperation, specification: Specification, next_app: ASGIApp
    ) -> DispatchedOperation:
        """Return the operation with its handler."""
        run = self._run_unlimited if specification.get("x-admission") is False else self._run_admitted
        return DispatchedOperation(operation, run)

    async def _run_unlimited(self, call: _Call) -> _EncodedReply:
        return await spawn(self._run, call)

    async def _run_admitted(self, call: _Call) -> _EncodedReply:
        handler, _, record, reservation = call
        since = inf if handler is _next_chunk else record.ready_at  # a reply that has begun is completed
        user = record.subject or ANONYMOUS
        await self._admission.acquire(user, since, reservation)
        try:
            if record.client_disconnected:
                raise asyncio.CancelledError  # the client disconnected while the request waited
            return await spawn(self._run, call)
        finally:
            self._admission.release(user)

    def _run(self, call: _Call) -> _EncodedReply:
        handler, arguments, record, _ = call
        try:
            with self._flask.app_context() as context:
                context.g.record = record
                return _encode(*handler(**arguments))
        finally:
            record.add_db_time(spent())


async def _disconnected(receive: Receive) -> None:
    """Return when the client has disconnected."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _next_chunk(chunks: Iterator[bytes]) -> Reply:
    """Return the next chunk as a body, empty after the last."""
    return next(chunks, b""), 200, {}


def _encode(body: Any, status: int, headers: dict[str, str]) -> _EncodedReply:
    encoded = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    if body is None:
        return status, encoded, b""
    if isinstance(body, dict):
        body = orjson.dumps(body, option=orjson.OPT_UTC_Z)
        encoded.append((b"content-type", b"application/json"))
    elif isinstance(body, Iterator):
        return status, encoded, body
    encoded.append((b"content-length", b"%d" % len(body)))
    return status, encoded, body
