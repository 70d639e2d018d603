"""The record of one request, for logs, metrics and traces. It has no value that a client sent."""

import re
from dataclasses import InitVar, dataclass, field
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


@dataclass(slots=True, eq=False)
class RequestRecord:
    """The facts of a request so far. `subject` and `error` must not be logged as they are."""

    method: str
    request_id: str
    traceparent: InitVar[bytes | None]
    observers: "tuple[Observer, ...]"
    started_at: float = field(default_factory=perf_counter)
    """When the request was read."""
    ready_at: float = 0.0
    """When the request was ready to run and began to queue."""
    trace_id: str | None = None
    parent_id: str | None = None
    sampled: bool = False
    """Whether the caller records its part of the trace."""
    operation: str = NONE
    route: str = NONE
    started: bool = False
    """Whether `start` was called: the operation runs or has run."""
    client_disconnected: bool = False
    """Whether the client has closed the connection."""
    input_ended: bool = False
    """Whether the client has closed its side of the connection: it reads on, or is gone."""
    replies: bool = False
    """Whether the reply has begun."""
    status: int = ABANDONED
    seconds: float = 0.0
    ended_at: float = 0.0
    """When the request ended, in seconds since 1970."""
    subject: str | None = None
    """Subject of the token. It is personal data: log only its digest."""
    code: str | None = None
    """Code of the problem in the reply; `error` is its exception."""
    error: Exception | None = None
    dry_run: bool = False
    """Whether the write is tried and undone."""
    statements: int = 0
    database_seconds: float = 0.0
    """Seconds that the statements took."""
    wait_seconds: float = 0.0
    """Seconds of waiting for a connection."""

    def __post_init__(self, traceparent: bytes | None) -> None:
        self.ready_at = self.started_at
        if self.method not in METHODS:
            self.method = OTHER
        if traceparent:
            self._continue(traceparent)

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
