"""Readiness: what must be well for requests to be served, each with its state and its time, in bounded time."""

import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from time import perf_counter
from typing import NamedTuple

from todo_api.errors import TaskApiError

DEADLINE = 1.0
"""Seconds from the start of a round of checks to its report, whatever hangs."""

_log = logging.getLogger(__name__)


class Check(NamedTuple):
    """How one check went: `status` is `pass` or `fail`. One without an answer so far has failed, at the time of the report."""

    status: str
    duration_ms: float
    checked_at: datetime


class _Round:
    """One run through all checks, in a thread of its own, for everyone who asks meanwhile."""

    def __init__(self, checks: dict[str, Callable[[], None]]) -> None:
        self.began = perf_counter()
        self.done = threading.Event()
        self.checks: dict[str, Check] = {}
        self.causes: dict[str, str | None] = {}
        threading.Thread(target=self._run, args=(checks,), name="readiness", daemon=True).start()

    def _run(self, checks: dict[str, Callable[[], None]]) -> None:
        try:
            for name, check in checks.items():
                began = perf_counter()
                self.causes[name] = _cause(name, check)
                self.checks[name] = _check("fail" if self.causes[name] else "pass", began)
        finally:
            self.done.set()


class Readiness:
    """Runs its checks in order. A check returns nothing where all is well, and raises where not.

    Those who ask at once share one round, so that probes are no load; one that hangs is waited for once, and not by each of them.
    """

    def __init__(self, checks: dict[str, Callable[[], None]], deadline: float = DEADLINE) -> None:
        self._checks = checks
        self._deadline = deadline
        self._lock = threading.Lock()
        self._round: _Round | None = None
        self._told: dict[str, str | None] = {}

    def report(self) -> dict[str, Check]:
        """Every check by its name, at the latest when the round's time is over."""
        with self._lock:
            if self._round is None or self._round.done.is_set():
                self._round = _Round(self._checks)
            current = self._round
        current.done.wait(max(0.0, current.began + self._deadline - perf_counter()))
        self._tell(current.causes)
        known = dict(current.checks)
        return {name: known.get(name) or _check("fail", current.began) for name in self._checks}

    def _tell(self, causes: dict[str, str | None]) -> None:
        """Logs why a check fails, once for as long as it fails for that, and when it passes again."""
        with self._lock:
            for name, cause in dict(causes).items():
                if cause != self._told.get(name):
                    self._told[name] = cause
                    if cause:
                        _log.warning("not ready: %s: %s", name, cause)
                    else:
                        _log.info("ready again: %s", name)


def _cause(name: str, check: Callable[[], None]) -> str | None:
    """Why the check fails; None where it passes."""
    try:
        check()
    except TaskApiError as error:
        return str(error)
    except Exception:
        _log.exception("the check of %s is at fault", name)
        return "the check is at fault"
    return None


def _check(status: str, began: float) -> Check:
    return Check(status, round((perf_counter() - began) * 1000, 3), datetime.now(UTC))
