"""Admission control: a queue with a deadline in front of the database.

A request takes a slot or waits in order for one. It is refused at the queue limit, never earlier:
the wait paces clients that retry at once.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from time import perf_counter

from todo_api.http.errors import Overloaded

ANONYMOUS = ""
"""The user of requests without a user. They share its slots, so strangers cannot take them all."""


class AdmissionControl:
    """Slots of one event loop. No user holds all of them, nor more than half while others wait."""

    def __init__(self, slots: int = 8, queue_limit: float = 0.15, clock: Callable[[], float] = perf_counter) -> None:
        """`queue_limit` and `clock` are in seconds."""
        self._slots = self._free = slots
        self._share = max(1, slots // 2)
        self._queue_limit, self._clock = queue_limit, clock
        self._held: Counter[str] = Counter()
        self._waiting: dict[asyncio.Future[bool], str] = {}

    async def acquire(self, user: str, since: float) -> None:
        """Take a slot. Raise Overloaded at the queue limit after `since`, when it was read."""
        if self._free > 1 or (self._free and self._held[user] < self._share):
            self._take(user)
        else:
            await self._wait(user, since)

    def _take(self, user: str) -> None:
        self._free -= 1
        self._held[user] += 1

    def release(self, user: str) -> None:
        """Hand the slot to a waiter: the first with less than half, else the first of all.

        The last free slot goes to a waiter with less than half only.
        """
        self._free += 1
        self._held[user] -= 1
        if not self._held[user]:
            del self._held[user]  # users come and go
        chosen = self._first(self._share) or (self._first(self._slots) if self._free > 1 else None)
        if chosen:
            self._take(chosen[1])
            chosen[0].set_result(True)

    def _first(self, most: int) -> tuple[asyncio.Future[bool], str] | None:
        """Return the longest waiter whose user holds fewer slots than `most`."""
        return next((each for each in self._waiting.items() if not each[0].done() and self._held[each[1]] < most), None)

    async def _wait(self, user: str, since: float) -> None:
        loop = asyncio.get_running_loop()
        granted = loop.create_future()
        timer = loop.call_later(since + self._queue_limit - self._clock(), _refuse, granted)
        self._waiting[granted] = user
        try:
            if not await granted:  # a result, since throwing an exception into a deep coroutine costs more
                raise Overloaded
        except asyncio.CancelledError:
            if not granted.cancelled() and granted.result():
                self.release(user)  # the slot was granted just before the cancellation
            raise
        finally:
            timer.cancel()
            del self._waiting[granted]


def _refuse(granted: "asyncio.Future[bool]") -> None:
    if not granted.done():
        granted.set_result(False)
