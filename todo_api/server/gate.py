"""Gate in front of the pipeline: requests wait here for a slot, before anything is done for them.

A refusal here costs a fraction of one in the pipeline, and leaves the processor to the answers.
Its reply is rendered at start, except for the request's id. A request that the server starts
without the gate waits inside (`AdmissionControl.acquire`), in the same queue by the same rule.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

import orjson
from connexion.spec import Specification
from starlette.types import Scope

from todo_api.admission import ANONYMOUS, AdmissionControl, Reservation, Waiter
from todo_api.errors import Overloaded
from todo_api.http import (
    BY_TOKEN,
    PROBLEM_TYPES,
    SAFE_TYPE,
    CorsFields,
    RouteNotFound,
    Routes,
    bearer_token,
    read_headers,
    render_problem,
)
from todo_api.observability import Observer, RequestRecord

_ID = "request id"
_LINE = b"%b: %b\r\n"
_VARY = _LINE % BY_TOKEN


class PendingRequest(Protocol):
    """A whole request that the pipeline has not seen yet."""

    scope: Scope

    def start(self) -> None:
        """Pass the request to the pipeline."""

    def reply(self, status: int, head: bytes, body: bytes) -> None:
        """Send a reply in place of the pipeline. `head` has lines of header fields."""


class AdmissionGate:
    """Gate of one event loop."""

    def __init__(
        self,
        admission: AdmissionControl,
        known_subject: Callable[[str], str | None],
        cors: CorsFields,
        observers: tuple[Observer, ...] = (),
    ) -> None:
        """`known_subject` returns the subject of a token that was verified before."""
        self._routes = Routes()
        self._admission = admission
        self._known_subject = known_subject
        self._observers = observers
        self._cors = cors
        status, fields, body = render_problem(Overloaded(), _ID)
        lines = [_LINE % field for field in (*fields, SAFE_TYPE) if field[0] != b"content-length"]
        self._status, self._code, self._head = status, PROBLEM_TYPES[Overloaded].code, b"".join(lines)
        self._before_id, self._after_id = body.split(orjson.dumps(_ID))

    def add_api(self, specification: Specification) -> None:
        """Add the operations of a contract, unless it says `x-admission: false`."""
        if specification.get("x-admission") is not False:
            self._routes.add(specification)

    def enter(self, request: PendingRequest) -> "QueuedRequest | None":
        """Start the request now, or return its place in the queue."""
        admission = self._admission
        request.scope["state"]["read_at"] = read_at = admission.clock()
        if admission.is_idle and admission.try_take(ANONYMOUS):
            self.start(request, ANONYMOUS)
            return None
        operation = self._operation(request.scope)
        if operation is None:
            request.start()
            return None
        token = bearer_token(request.scope["headers"])
        user = (self._known_subject(token) if token else None) or ANONYMOUS
        if admission.try_take(user):
            self.start(request, user)
            return None
        queued = QueuedRequest(self, request, user, operation)
        admission.enqueue(queued, read_at)
        return queued

    def stop(self) -> None:
        """End the requests that wait for something else than a slot: the process stops."""
        self._admission.stop()

    def leave(self, queued: "QueuedRequest") -> None:
        """Forget a request whose client has disconnected."""
        self._admission.withdraw(queued)
        record, _ = queued.new_record(self._observers)
        record.end()

    def _operation(self, scope: Scope) -> tuple[str, str] | None:
        """Return the operation and the route of a request, None if it needs no slot.

        The pipeline takes the match from the scope's state.
        """
        try:
            resource, _ = scope["state"]["match"] = self._routes.find(scope["raw_path"])
        except RouteNotFound:
            return None
        operation_id = resource.operation_ids.get(scope["method"])
        return (operation_id, resource.template) if operation_id else None

    def start(self, request: PendingRequest, user: str) -> None:
        """Start a request with a slot, which is released unless it is claimed at once."""
        reservation = request.scope["state"]["reservation"] = Reservation(self._admission, user)
        request.start()
        asyncio.get_running_loop().call_soon(reservation.cancel)

    def refuse(self, queued: "QueuedRequest") -> None:
        """Reply 503 `overloaded`."""
        request, headers = queued.request, queued.request.scope["headers"]
        record, has_token = queued.new_record(self._observers)
        record.status, record.code = self._status, self._code
        request_id, vary = record.request_id, _VARY if has_token else b""
        body = b"%b%b%b" % (self._before_id, orjson.dumps(request_id), self._after_id)
        own_lines = b"x-request-id: %b\r\ncontent-length: %d\r\n%b" % (request_id.encode(), len(body), vary)
        cors = b"".join([_LINE % field for field in self._cors.of(headers)])
        request.reply(self._status, self._head + own_lines + cors, body)
        record.end()


class QueuedRequest(Waiter):
    """A request that waits at the gate."""

    def __init__(self, gate: AdmissionGate, request: PendingRequest, user: str, operation: tuple[str, str]) -> None:
        super().__init__(user)
        self.request = request
        self._gate = gate
        self._operation = operation

    def grant(self) -> None:
        """Start the request."""
        self._gate.start(self.request, self.user)

    def refuse(self) -> None:
        """Send the reply."""
        self._gate.refuse(self)

    def new_record(self, observers: tuple[Observer, ...]) -> tuple[RequestRecord, bool]:
        """Return the record of a refused request, and whether it has a token."""
        scope = self.request.scope
        request_id, traceparent, has_token = read_headers(scope["headers"])
        record = RequestRecord(scope["method"], request_id, traceparent, observers, scope["state"]["read_at"])
        record.operation, record.route = self._operation
        record.subject = self.user or None
        return record, has_token
