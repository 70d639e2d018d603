"""Readiness checks, each with its status and duration, in bounded time."""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from time import perf_counter
from typing import NamedTuple

from todo_api.database import spawn, wait
from todo_api.errors import TaskApiError

DEADLINE = 1.0
"""Maximum seconds of a round of checks, also if one hangs."""

_log = logging.getLogger(__name__)


class Check(NamedTuple):
    """Result of a check: `status` is `pass` or `fail`. A check without an answer in time fails."""

    status: str
    duration_ms: float
    checked_at: datetime


class Readiness:
    """Runs checks in order. A check passes if it returns, and fails if it raises.

    Concurrent callers share a round, so probes cause no load.
    """

    def __init__(self, checks: dict[str, Callable[[], None]], deadline: float = DEADLINE) -> None:
        self._checks = checks
        self._deadline = deadline
        self._round: asyncio.Task[dict[str, Check]] | None = None
        self._logged: dict[str, str | None] = {}

    def report(self) -> dict[str, Check]:
        """Return the result of every check by its name, within the deadline.

        Call it in a function that `spawn` runs.
        """
        return wait(self._report())

    async def _report(self) -> dict[str, Check]:
        if self._round is None or self._round.done():
            self._round = asyncio.create_task(self._run())
        return await asyncio.shield(self._round)

    async def _run(self) -> dict[str, Check]:
        checks: dict[str, Check] = {}
        causes: dict[str, str | None] = {}
        started = perf_counter()
        try:
            async with asyncio.timeout(self._deadline):
                for name, check in self._checks.items():
                    started = perf_counter()
                    causes[name] = await _cause(name, check)
                    checks[name] = _result("fail" if causes[name] else "pass", started)
        except TimeoutError:
            pass  # checks without a result have failed; `started` is when the one that hung began
        self._log_changes(causes)
        return {name: checks.get(name) or _result("fail", started) for name in self._checks}

    def _log_changes(self, causes: dict[str, str | None]) -> None:
        """Log why a check fails, once per cause, and when it passes again."""
        for name, cause in causes.items():
            if cause != self._logged.get(name):
                self._logged[name] = cause
                if cause:
                    _log.warning("not ready: %s: %s", name, cause)
                else:
                    _log.info("ready again: %s", name)


async def _cause(name: str, check: Callable[[], None]) -> str | None:
    """Return why the check fails, None if it passes."""
    try:
        await spawn(check)
    except TaskApiError as error:
        return str(error)
    except Exception:
        _log.exception("the readiness check %s has raised an unexpected error", name)
        return "unexpected error"
    return None


def _result(status: str, started: float) -> Check:
    return Check(status, round((perf_counter() - started) * 1000, 3), datetime.now(UTC))
