"""Turns: so many requests are answered at once, and the others wait, in order, and not for long.

The queue is kept short by turning away what comes while it is long; `Load` says when. Its rule is that of CoDel (RFC 8289), as
Maurer's "Fail at Scale" (ACM Queue 13, 8) has it for servers: a burst may make a queue, and one that stays is not overcome by
waiting. So in overload nobody is let in who does not find half of the turns free: who is let in is answered about as fast as ever, and
the others know at once.
"""

import asyncio
from collections import deque
from time import perf_counter

BURST = 4
"""How many times as long as usual requests may wait in a burst. It is none any more, but overload, when they wait for too long for all of
that time; and over when none had to be turned away for as long."""

TRIAL, LAST_TRIAL = 2.0, 8.0
"""Seconds of overload after which it is tried whether it has passed, though some are still turned away: those who come again at once
would else keep it up by themselves. After each trial that fails it is twice as long, up to the second."""

TRIED = 1.0
"""Seconds for which nobody may have to wait for long in a trial: then overload is over."""

BEAT = 0.01
"""Seconds between two looks at how late the event loop is."""


class Load:
    """How long requests wait: for the event loop to read them, and for their turn."""

    def __init__(self, limit: float = 0.05) -> None:
        """`limit` is for how many seconds requests may wait. One that comes alone is never turned away."""
        self._limit = limit
        self._burst = limit * BURST
        self._slack = max(limit / BURST, BEAT)
        self._waiting: deque[tuple[float, asyncio.Future[None]]] = deque()
        self._late = 0.0
        self._overloaded = False
        self._short_at = perf_counter()
        self._refused_at = 0.0
        self._pause = TRIAL
        self._trial_at = 0.0
        self.turns = 0
        """How many turns there are."""
        self.taken = 0
        """How many of them somebody has."""
        self.answering = 0
        """How many requests are being answered, or wait for it."""

    def add(self, turn: "asyncio.Future[None]") -> None:
        """Somebody begins to wait for a turn, and ends when that is done."""
        self._waiting.append((perf_counter(), turn))

    def is_too_much(self) -> bool:
        """Whether another request is to be turned away."""
        now = perf_counter()
        if not self.answering:
            self._short_at, self._overloaded = now, False
            return False
        while self._waiting and self._waiting[0][1].done():
            self._waiting.popleft()
        if self._overloaded:
            return self._is_refused(now)
        if self._wait(now) < self._limit:
            self._short_at = now
        elif self._wait(now) > self._burst or now - self._short_at > self._burst:
            self._begin(now, TRIAL)
        return self._overloaded

    def _wait(self, now: float) -> float:
        """Seconds that whoever is next has waited."""
        return self._late + (now - self._waiting[0][0] if self._waiting else 0.0)

    def _begin(self, now: float, pause: float) -> None:
        self._overloaded, self._refused_at = True, now
        self._pause, self._trial_at = pause, now + pause

    def _is_refused(self, now: float) -> bool:
        """Whether, in overload, a request is. Ends it where that was not so for long enough, or a trial succeeds."""
        if now >= self._trial_at:
            if self._wait(now) >= self._slack:
                self._begin(now, min(2 * self._pause, LAST_TRIAL))
                return True
            self._overloaded = now < self._trial_at + TRIED
            self._short_at = now
            return False
        # With half of the turns the database does as much, and each request takes half as long.
        if self._waiting or 2 * self.taken > self.turns or self._late > self._slack:
            self._refused_at = now
            return True
        self._overloaded = now - self._refused_at <= self._burst
        self._short_at = now
        return False

    async def __aenter__(self) -> None:
        """Watches the event loop from here on."""
        self._watching = asyncio.create_task(self._watch())

    async def __aexit__(self, *_: object) -> None:
        self._watching.cancel()

    async def _watch(self) -> None:
        while True:
            due = perf_counter() + BEAT
            await asyncio.sleep(BEAT)
            self._late = perf_counter() - due
            self.is_too_much()


class Turns:
    """At most `count` at once. For one event loop."""

    def __init__(self, count: int = 8, load: Load | None = None) -> None:
        self.load = load or Load()
        """How long requests wait for theirs."""
        self.load.turns = count
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def __aenter__(self) -> None:
        """Waits for a turn, behind those who came before."""
        if self.load.taken < self.load.turns:
            self.load.taken += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self.load.add(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                self._hand_on()  # it came at the very moment
            raise

    async def __aexit__(self, *_: object) -> None:
        self._hand_on()

    def _hand_on(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self.load.taken -= 1
