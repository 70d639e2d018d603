"""One request and its reply, as those see it who watch the service: how it went, and nothing of what was sent."""

import re
from collections.abc import Callable
from time import perf_counter, time
from typing import Protocol

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER = "other"
NONE = "none"
PAGE = "page"
"""What takes the place of an operation's name where a published page answers."""

ABANDONED = 499
"""The status, for those who watch, of a request whose sender left before the reply began; no reply has it."""

Spent = Callable[[], tuple[int, float, float]]
"""What the calling function has spent at the database since it was last asked: statements, seconds, seconds of waiting for a connection."""

_SAMPLED = 1
_TRACEPARENT = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


class Exchange:
    """What is known of a request so far. Everything but `subject` and `error` is fit to be written down."""

    __slots__ = (
        "began",
        "code",
        "database_seconds",
        "ended_at",
        "entered",
        "error",
        "left",
        "method",
        "operation",
        "parent_id",
        "ready_at",
        "request_id",
        "route",
        "sampled",
        "seconds",
        "statements",
        "status",
        "subject",
        "trace_id",
        "waited",
        "watchers",
    )

    def __init__(
        self, method: str, request_id: str, traceparent: bytes | None, watchers: "tuple[Watcher, ...]"
    ) -> None:
        self.began = self.ready_at = perf_counter()
        """When its head was read, and when it could be answered: its wait for a slot counts from the second."""
        self.method = method if method in METHODS else OTHER
        self.request_id = request_id
        self.trace_id: str | None = None
        self.parent_id: str | None = None
        self.sampled = False
        """Whether the caller keeps its part of the trace."""
        if traceparent:
            self._continue(traceparent)
        self.watchers = watchers
        self.operation = self.route = NONE
        self.entered = False
        self.left = False
        """Whether the sender has closed the connection: nobody will get the reply."""
        self.status = ABANDONED
        self.seconds = 0.0
        self.ended_at = 0.0
        """When it was over, in seconds since 1970."""
        self.subject: str | None = None
        """Whom the token speaks for: a person's, so only to be digested."""
        self.code: str | None = None
        """The code of the problem that was told, and `error`, what it tells of."""
        self.error: Exception | None = None
        self.statements = 0
        """How many statements the database was sent; how long they took, and how long a connection was waited for, in seconds."""
        self.database_seconds = self.waited = 0.0

    def _continue(self, traceparent: bytes) -> None:
        """Takes on the trace of the caller, where the field names one (W3C Trace Context, section 3.2.2)."""
        found = _TRACEPARENT.fullmatch(traceparent)
        if found and not (found[4] and traceparent.startswith(b"00")):
            self.trace_id, self.parent_id = found[1].decode(), found[2].decode()
            self.sampled = bool(int(found[3], 16) & _SAMPLED)

    def enter(self, operation: str, route: str) -> None:
        """Its operation is known and begins."""
        self.operation, self.route, self.entered = operation, route, True
        for watcher in self.watchers:
            watcher.entered(self)

    def spend(self, spent: tuple[int, float, float]) -> None:
        """Adds what a function has spent on it at the database."""
        statements, seconds, waited = spent
        self.statements += statements
        self.database_seconds += seconds
        self.waited += waited

    def end(self) -> None:
        """The reply is on its way, or there will be none."""
        self.seconds = perf_counter() - self.began
        self.ended_at = time()
        for watcher in self.watchers:
            watcher.ended(self)
        self.error = None  # watchers may keep the exchange, and are not to keep the request with it


class Watcher(Protocol):
    """Someone who is told of each request. Runs on the event loop: it must not wait for anything."""

    def entered(self, exchange: Exchange) -> None:
        """Its operation begins."""

    def ended(self, exchange: Exchange) -> None:
        """It is over, whether it was entered or not."""
