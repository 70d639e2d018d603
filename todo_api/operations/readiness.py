"""Readiness: what must be well for requests to be served, each with its state and its time, in bounded time."""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from time import perf_counter
from typing import NamedTuple

from todo_api.database import spawn, wait
from todo_api.errors import TaskApiError

DEADLINE = 1.0
"""Seconds from the start of a round of checks to its report, whatever hangs."""

_log = logging.getLogger(__name__)


class Check(NamedTuple):
    """How one check went: `status` is `pass` or `fail`. One without an answer in time has failed."""

    status: str
    duration_ms: float
    checked_at: datetime


class Readiness:
    """Runs its checks in order. A check returns nothing where all is well, and raises where not.

    Those who ask at once share one round, so that probes are no load.
    """

    def __init__(self, checks: dict[str, Callable[[], None]], deadline: float = DEADLINE) -> None:
        self._checks = checks
        self._deadline = deadline
        self._round: asyncio.Task[dict[str, Check]] | None = None
        self._told: dict[str, str | None] = {}

    def report(self) -> dict[str, Check]:
        """Return every check by its name, at the latest when the round's time is over. For functions that `spawn` runs."""
        return wait(self._report())

    async def _report(self) -> dict[str, Check]:
        if self._round is None or self._round.done():
            self._round = asyncio.create_task(self._run())
        return await asyncio.shield(self._round)

    async def _run(self) -> dict[str, Check]:
        checks: dict[str, Check] = {}
        causes: dict[str, str | None] = {}
        began = perf_counter()
        try:
            async with asyncio.timeout(self._deadline):
                for name, check in self._checks.items():
                    began = perf_counter()
                    causes[name] = await _cause(name, check)
                    checks[name] = _check("fail" if causes[name] else "pass", began)
        except TimeoutError:
            pass  # what has no answer yet has failed
        self._tell(causes)
        return {name: checks.get(name) or _check("fail", began) for name in self._checks}

    def _tell(self, causes: dict[str, str | None]) -> None:
        """Logs why a check fails, once for as long as it fails for that, and when it passes again."""
        for name, cause in causes.items():
            if cause != self._told.get(name):
                self._told[name] = cause
                if cause:
                    _log.warning("not ready: %s: %s", name, cause)
                else:
                    _log.info("ready again: %s", name)


async def _cause(name: str, check: Callable[[], None]) -> str | None:
    """Why the check fails; None where it passes."""
    try:
        await spawn(check)
    except TaskApiError as error:
        return str(error)
    except Exception:
        _log.exception("the check of %s is at fault", name)
        return "the check is at fault"
    return None


def _check(status: str, began: float) -> Check:
    return Check(status, round((perf_counter() - began) * 1000, 3), datetime.now(UTC))
