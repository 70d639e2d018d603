"""Admission control: a queue with a deadline in front of the database.

A request takes a slot or waits in order for one. It is refused at the queue limit, not earlier:
the wait paces clients that retry at once.
"""

import asyncio
from collections.abc import Callable
from math import inf
from time import perf_counter

from todo_api.errors import Overloaded

ANONYMOUS = ""
"""The user of requests without a user. They share its slots, so strangers cannot take them all."""

LOOK_SECONDS = 0.005
"""Seconds between looks at the queue while somebody waits: a refusal is late by that at most."""


class Waiter:
    """A request in the queue. Either `grant` or `refuse` is called, once."""

    deadline = 0.0

    def __init__(self, user: str) -> None:
        self.user = user

    def is_cancelled(self) -> bool:
        """Return whether the request has stopped waiting."""
        return False

    def grant(self) -> None:
        """Continue with a slot, which is taken for the user."""
        raise NotImplementedError

    def refuse(self) -> None:
        """Continue without a slot: the deadline has passed."""
        raise NotImplementedError


class AdmissionControl:
    """Slots of one event loop. No user holds all of them, nor more than half while others wait."""

    def __init__(self, slots: int = 8, queue_limit: float = 0.15, clock: Callable[[], float] = perf_counter) -> None:
        """`queue_limit` and `clock` are in seconds."""
        self._slots = self._free = slots
        self._share = max(1, slots // 2)
        self._queue_limit, self.clock = queue_limit, clock
        self._held: dict[str, int] = {}
        self._waiting: dict[Waiter, None] = {}
        self._paused: set[asyncio.Event] = set()
        self.is_stopping = False
        """Whether the process stops: nobody pauses any more."""
        self._is_looking = False

    async def acquire(self, user: str, since: float, reservation: "Reservation | None" = None) -> None:
        """Take a slot, or wait for one. Raise Overloaded at the queue limit.

        The limit counts from `since`, when the request was read.
        """
        if (reservation and reservation.claim(user)) or self.try_take(user):
            return
        waiter = _WaitingTask(user)
        self.enqueue(waiter, since)
        try:
            if not await waiter.granted:  # a result: throwing an exception into a deep coroutine costs more
                raise Overloaded
        except asyncio.CancelledError:
            if not waiter.granted.cancelled() and waiter.granted.result():
                self.release(user)  # the slot was granted just before the cancellation
            raise
        finally:
            self.withdraw(waiter)

    @property
    def is_idle(self) -> bool:
        """Whether nobody waits and more than the last slot is free."""
        return self._free > 1 and not self._waiting

    def try_take(self, user: str) -> bool:
        """Take a slot if one is free. A user with half of the slots does not get the last one."""
        is_free = self._free > 1 or (self._free == 1 and self._holds_fewer_than(self._share, user))
        if is_free:
            self._take(user)
        return is_free

    def enqueue(self, waiter: Waiter, since: float) -> None:
        """Add a request to the queue. It is refused at the queue limit after `since`."""
        waiter.deadline = since + self._queue_limit
        self._waiting[waiter] = None
        if not self._is_looking:
            self._look_later()

    def withdraw(self, waiter: Waiter) -> None:
        """Remove a request from the queue, if it is there."""
        self._waiting.pop(waiter, None)

    def _look_later(self) -> None:
        self._is_looking = True
        asyncio.get_running_loop().call_later(LOOK_SECONDS, self._look)

    def _look(self) -> None:
        """Refuse the requests whose deadline has passed, and look again while others wait."""
        now = self.clock()
        late = [waiter for waiter in self._waiting if waiter.deadline <= now]
        for waiter in late:
            del self._waiting[waiter]
        self._is_looking = False
        if self._waiting:
            self._look_later()
        for waiter in late:
            waiter.refuse()

    def transfer(self, holder: str, user: str) -> bool:
        """Make a slot of `holder` one of `user`, unless that user has half of the slots."""
        fits = self._holds_fewer_than(self._share, user)
        if fits:
            self._drop(holder)
            self._take(user)
        return fits

    def release(self, user: str) -> None:
        """Release the user's slot, and hand a free one to a waiter.

        The first whose user has less than half of the slots gets it, else the first of all. The
        last free slot is kept for a user with less than half.
        """
        self._drop(user)
        if not self._waiting:
            return
        chosen = self._first_below(self._share) or (self._first_below(self._slots) if self._free > 1 else None)
        if chosen:
            self._take(chosen.user)
            self.withdraw(chosen)
            chosen.grant()

    async def pause(self, user: str, woken: asyncio.Event, seconds: float) -> None:
        """Release the user's slot until the event, then take one again.

        After these seconds it sets the event itself: a time-out throws an exception into a deep
        coroutine.
        """
        self.release(user)
        self._paused.add(woken)
        timer = asyncio.get_running_loop().call_later(seconds, woken.set)
        try:
            if not self.is_stopping:
                await woken.wait()
            await self.acquire(user, inf)  # what has begun is completed
        except BaseException:
            self._take(user)  # the caller releases it at once
            raise
        finally:
            timer.cancel()
            self._paused.discard(woken)

    def stop(self) -> None:
        """End all pauses: the process stops."""
        self.is_stopping = True
        for woken in self._paused:
            woken.set()

    def _holds_fewer_than(self, limit: int, user: str) -> bool:
        return self._held.get(user, 0) < limit

    def _take(self, user: str) -> None:
        self._free -= 1
        self._held[user] = self._held.get(user, 0) + 1

    def _drop(self, user: str) -> None:
        self._free += 1
        if self._held[user] > 1:
            self._held[user] -= 1
        else:
            del self._held[user]  # else each user who ever came would stay in memory

    def _first_below(self, limit: int) -> Waiter | None:
        """Return the first in the queue whose user holds fewer slots than `limit`."""
        for waiter in self._waiting:
            if self._holds_fewer_than(limit, waiter.user) and not waiter.is_cancelled():
                return waiter
        return None


class _WaitingTask(Waiter):
    """A task in the queue."""

    def __init__(self, user: str) -> None:
        super().__init__(user)
        self.granted: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def is_cancelled(self) -> bool:
        return self.granted.done()

    def grant(self) -> None:
        self.granted.set_result(True)

    def refuse(self) -> None:
        if not self.granted.done():
            self.granted.set_result(False)


class Reservation:
    """A slot taken for a request before it is known whether it needs one, and whose it is."""

    def __init__(self, admission: AdmissionControl, user: str) -> None:
        self._admission = admission
        self._user: str | None = user

    def claim(self, user: str) -> bool:
        """Make the slot the user's, and return True. Release it if the user may not have it."""
        if self._user is None:
            return False
        holder, self._user = self._user, None
        if holder == user or self._admission.transfer(holder, user):
            return True
        self._admission.release(holder)
        return False

    def cancel(self) -> None:
        """Release the slot, unless it was claimed."""
        if self._user is not None:
            holder, self._user = self._user, None
            self._admission.release(holder)
