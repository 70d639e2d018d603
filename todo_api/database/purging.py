"""Batched deletion of expired rows of all users, and the task that repeats such work."""

import asyncio
import logging
import random
from collections.abc import Callable
from typing import Any

from sqlalchemy import CTE, Column, ColumnElement, Integer, Table, cast, delete, func, literal_column, select

from todo_api.database.greenlets import spawn
from todo_api.database.statement import Statement
from todo_api.errors import Unavailable

EVERY = 300
"""Mean seconds between purges of a worker. Random variation keeps workers apart."""

PAUSE = 0.05
"""Seconds between statements of a purge, so requests go first."""

AT_ONCE = 1000
"""Maximum rows that a statement of a purge deletes."""

LOCK = 0x7461736B70757267
"""Advisory lock of a purge."""

_log = logging.getLogger(__name__)


def expired_rows(table: Table, expired: ColumnElement[bool], *more: Column[Any]) -> CTE:
    """Return the keys of some expired rows, and `more` columns; none if another process purges."""
    turn = select(func.pg_try_advisory_xact_lock(literal_column(str(LOCK))).label("mine")).cte("turn")
    found = select(*table.primary_key, *more).where(turn.c.mine, expired).limit(AT_ONCE)
    # Otherwise PostgreSQL, which expects few rows, would search again for each that it deletes.
    return found.cte("old").prefix_with("MATERIALIZED")


def delete_expired(table: Table, expired: ColumnElement[bool]) -> Statement:
    """Return a statement that deletes some expired rows, unless another process does."""
    old = expired_rows(table, expired)
    these = (table.c[column.name] == old.c[column.name] for column in table.primary_key)
    gone = delete(table).where(*these).returning(literal_column("1").label("one")).cte("gone")
    return Statement(select(cast(func.count(), Integer)).select_from(gone))


class PeriodicTask:
    """Repeats a purge, or other work on the rows of all users, on the event loop."""

    def __init__(
        self,
        step: Callable[[], int],
        every: float = EVERY,
        *,
        at_once: bool = False,
        failure: str = "nothing was purged",
    ) -> None:
        """`step` works on a bounded number of rows and returns it, about `every` so many seconds.

        It is repeated until that is zero. `at_once` does not wait before the first time. `failure`
        is what the log says if it fails.
        """
        self._step = step
        self._every = every
        self._at_once = at_once
        self._failure = failure
        self._ending = asyncio.Event()
        self._task: asyncio.Task[None]

    async def __aenter__(self) -> None:
        """Start."""
        self._task = asyncio.create_task(self._run())

    async def __aexit__(self, *_: object) -> None:
        """Stop after the current step."""
        self._ending.set()
        await self._task

    async def _run(self) -> None:
        wait = 0.0 if self._at_once else self._pause()
        while not await self._ends_within(wait):
            wait = self._pause()
            try:
                while await spawn(self._step) and not await self._ends_within(PAUSE):
                    pass
            except Unavailable as error:
                _log.warning(f"{self._failure}: %s", error.__cause__ or error)  # a constant of the code
            except Exception:  # a bug: log it, since requests do not need the work
                _log.exception(self._failure)

    def _pause(self) -> float:
        return self._every * random.uniform(0.5, 1.5)  # noqa: S311  # no secret

    async def _ends_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._ending.wait()
        except TimeoutError:
            return False
        return True
