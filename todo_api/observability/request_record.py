"""The record of one request, for logs, metrics and traces. It has no value that a client sent."""

import re
from time import perf_counter, time
from typing import Protocol

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER = "other"
"""Stands for a method that is not in METHODS."""

NONE = "none"
"""Stands for the operation and route of a request that reached none."""

PAGE = "page"
"""Stands for the operation of published pages."""

ABANDONED = 499
"""Status in logs and metrics of a request whose client disconnected before the reply."""

_SAMPLED = 1
_TRACEPARENT = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


class RequestRecord:
    """The facts of a request so far. `subject` and `error` must not be logged as they are."""

    __slots__ = (
        "client_disconnected",
        "code",
        "database_seconds",
        "dry_run",
        "ended_at",
        "error",
        "input_ended",
        "method",
        "observers",
        "operation",
        "parent_id",
        "ready_at",
        "request_id",
        "route",
        "sampled",
        "seconds",
        "started",
        "started_at",
        "statements",
        "status",
        "subject",
        "trace_id",
        "wait_seconds",
    )

    def __init__(
        self,
        method: str,
        request_id: str,
        traceparent: bytes | None,
        observers: "tuple[Observer, ...]",
        started_at: float | None = None,
    ) -> None:
        self.started_at = self.ready_at = perf_counter() if started_at is None else started_at
        """When the request was read, and when it was ready to run and began to queue."""
        self.method = method if method in METHODS else OTHER
        self.request_id = request_id
        self.trace_id: str | None = None
        self.parent_id: str | None = None
        self.sampled = False
        """Whether the caller records its part of the trace."""
        if traceparent:
            self._continue(traceparent)
        self.observers = observers
        self.operation = self.route = NONE
        self.started = False
        """Whether `start` was called: the operation runs or has run."""
        self.client_disconnected = False
        """Whether the client has closed the connection."""
        self.input_ended = False
        """Whether the client has closed its side of the connection: it reads on, or is gone."""
        self.status = ABANDONED
        self.seconds = 0.0
        self.ended_at = 0.0
        """When the request ended, in seconds since 1970."""
        self.subject: str | None = None
        """Subject of the token. It is personal data: log only its digest."""
        self.code: str | None = None
        """Code of the problem in the reply; `error` is its exception."""
        self.error: Exception | None = None
        self.dry_run = False
        """Whether the write is tried and undone."""
        self.statements = 0
        self.database_seconds = self.wait_seconds = 0.0
        """Seconds that the statements took, and seconds of waiting for a connection."""

    def _continue(self, traceparent: bytes) -> None:
        """Join the caller's trace if the field is valid (W3C Trace Context, section 3.2.2)."""
        found = _TRACEPARENT.fullmatch(traceparent)
        if found and not (found[4] and traceparent.startswith(b"00")):
            self.trace_id, self.parent_id = found[1].decode(), found[2].decode()
            self.sampled = bool(int(found[3], 16) & _SAMPLED)

    def start(self, operation: str, route: str) -> None:
        """Set the operation, and call the observers: it starts now."""
        self.operation, self.route, self.started = operation, route, True
        for observer in self.observers:
            observer.on_start(self)

    def add_db_time(self, usage: tuple[int, float, float]) -> None:
        """Add what a function has used of the database."""
        statements, seconds, wait_seconds = usage
        self.statements += statements
        self.database_seconds += seconds
        self.wait_seconds += wait_seconds

    def end(self) -> None:
        """End the record, and call the observers: the reply is sent, or there will be none."""
        self.seconds = perf_counter() - self.started_at
        self.ended_at = time()
        for observer in self.observers:
            observer.on_end(self)
        self.error = None  # observers may keep the record, but must not keep the request alive


class Observer(Protocol):
    """Called at the start and end of each request. Runs on the event loop: it must not block."""

    def on_start(self, record: RequestRecord) -> None:
        """Handle the start of the operation."""

    def on_end(self, record: RequestRecord) -> None:
        """Handle the end of the request, whether it was started or not."""
