"""Admission control: a queue with a deadline in front of the database.

A request takes a slot, or waits for one, in order, and is refused once it has waited for the queue limit.
It is never refused earlier: the wait is what paces clients that retry at once.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from time import perf_counter

from todo_api.http.errors import Overloaded

ANONYMOUS = ""
"""All requests without a user count as this one: strangers cannot take the slots of those who are known."""


class AdmissionControl:
    """The slots of one event loop. No user holds all of them, nor more than half while others wait. Times are in seconds."""

    def __init__(self, slots: int = 8, queue_limit: float = 0.15, clock: Callable[[], float] = perf_counter) -> None:
        self._slots = self._free = slots
        self._share = max(1, slots // 2)
        self._queue_limit, self._clock = queue_limit, clock
        self._held: Counter[str] = Counter()
        self._waiting: dict[asyncio.Future[bool], str] = {}

    async def acquire(self, user: str, since: float) -> None:
        """Take a slot. Raise Overloaded at `since`, when the request was read, plus the queue limit."""
        if self._free > 1 or (self._free and self._held[user] < self._share):
            self._take(user)
        else:
            await self._wait(user, since)

    def _take(self, user: str) -> None:
        self._free -= 1
        self._held[user] += 1

    def release(self, user: str) -> None:
        """Hand the slot to the first who waits and has less than half, else to the first of all unless it is the last."""
        self._free += 1
        self._held[user] -= 1
        if not self._held[user]:
            del self._held[user]  # users come and go
        chosen = self._first(self._share) or (self._first(self._slots) if self._free > 1 else None)
        if chosen:
            self._take(chosen[1])
            chosen[0].set_result(True)

    def _first(self, most: int) -> tuple[asyncio.Future[bool], str] | None:
        """Who has waited longest of those whose user holds fewer slots than that."""
        return next((each for each in self._waiting.items() if not each[0].done() and self._held[each[1]] < most), None)

    async def _wait(self, user: str, since: float) -> None:
        loop = asyncio.get_running_loop()
        turn = loop.create_future()
        timer = loop.call_later(since + self._queue_limit - self._clock(), _refuse, turn)
        self._waiting[turn] = user
        try:
            if not await turn:  # not an exception of the future's: to throw one into a deep coroutine costs more
                raise Overloaded
        except asyncio.CancelledError:
            if not turn.cancelled() and turn.result():
                self.release(user)  # the slot came at the very moment
            raise
        finally:
            timer.cancel()
            del self._waiting[turn]


def _refuse(turn: "asyncio.Future[bool]") -> None:
    if not turn.done():
        turn.set_result(False)
