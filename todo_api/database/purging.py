"""What goes on beside the requests: every few minutes, what is too old is deleted, by one worker at a time."""

import asyncio
import logging
import random
from collections.abc import Callable

from todo_api.database.greenlets import spawn
from todo_api.errors import Unavailable

EVERY = 300
"""Seconds between two purges of a worker, more or less: workers that start together do not stay together."""

PAUSE = 0.05
"""Seconds between two statements of a purge, so that requests go first."""

_log = logging.getLogger(__name__)


class Purging:
    """Calls a purge again and again, so that it may wait."""

    def __init__(self, purge: Callable[[], int], every: float = EVERY) -> None:
        """`purge` deletes a bounded number of rows and says how many; it is called again at once until there are none."""
        self._purge = purge
        self._every = every
        self._ending = asyncio.Event()
        self._task: asyncio.Task[None]

    async def __aenter__(self) -> None:
        """Begins."""
        self._task = asyncio.create_task(self._run())

    async def __aexit__(self, *_: object) -> None:
        """Ends, after the statement that is being run, if there is one."""
        self._ending.set()
        await self._task

    async def _run(self) -> None:
        while not await self._ends_within(self._every * random.uniform(0.5, 1.5)):  # noqa: S311  # no secret
            try:
                while await spawn(self._purge) and not await self._ends_within(PAUSE):
                    pass
            except Unavailable as error:
                _log.warning("nothing was purged: %s", type(error.__cause__ or error).__name__)
            except Exception:  # a fault of ours, told with its trace; the requests do not need the purge
                _log.exception("nothing was purged")

    async def _ends_within(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self._ending.wait(), seconds)
        except TimeoutError:
            return False
        return True
