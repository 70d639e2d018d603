"""Turns: so many requests are answered at once, and the others wait, in order, and not for long.

The queue is kept short by turning away what comes while it is long; `Load` says when. Its rule is that of CoDel (RFC 8289), as
Maurer's "Fail at Scale" (ACM Queue 13, 8) has it for servers: a burst may make a queue, and one that stays is not overcome by
waiting. So when overload begins, all who wait are turned away, and in it nobody is let in who does not find half of the turns free: who
is let in is answered about as fast as ever, and the others know at once.
"""

import asyncio
from collections import deque
from time import perf_counter

from todo_api.pipeline.rejections import Overloaded

BURST = 4
"""How many times as long as usual requests may wait in a burst. It is none any more, but overload, when they wait for too long for all of
that time; and over when few had to be turned away for as long."""

FEW = 0.25
"""The share of requests that is few."""

TRIAL, LAST_TRIAL = 2.0, 8.0
"""Seconds of overload after which it is tried whether it has passed, though some are still turned away: those who come again at once
would else keep it up by themselves. After each trial that fails it is twice as long, up to the second."""

TRIED = 1.0
"""Seconds for which nobody may have to wait for long in a trial: then overload is over."""

PROMPT = 0.004
"""Seconds that the event loop may be late in overload, when somebody is to be let in: a request meets that several times."""

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
        self._short_at = perf_counter()
        self._counted_at, self._came, self._refused = 0.0, 0, 0
        self._pause = TRIAL
        self._trial_at = 0.0
        self.overloaded = False
        """Whether requests are turned away, or it is tried whether they need not be."""
        self.turns = 0
        """How many turns there are."""
        self.taken = 0
        """How many of them somebody has."""
        self.answering = 0
        """How many requests are being answered, or wait for it."""

    def add(self, turn: "asyncio.Future[None]") -> None:
        """Somebody begins to wait for a turn, and ends when that is done, or, where overload begins first, with Overloaded."""
        self._waiting.append((perf_counter(), turn))

    def is_too_much(self) -> bool:
        """Whether another request, which is counted, is to be turned away."""
        refused = self.is_full()
        self.count(refused=refused)
        return refused

    def is_full(self) -> bool:
        """Whether another request would be turned away."""
        now = perf_counter()
        self._look(now)
        if not self.overloaded or now >= self._trial_at or not self.answering:
            return False
        # With half of the turns the database does as much, and each request takes half as long.
        return bool(self._waiting) or 2 * self.taken > self.turns or self._late > PROMPT

    def count(self, *, refused: bool) -> None:
        """Another request has come."""
        self._came += 1
        self._refused += refused

    def _look(self, now: float) -> None:
        """Sees whether overload has begun, has passed, or is to be tried."""
        while self._waiting and self._waiting[0][1].done():
            self._waiting.popleft()
        wait = self._late + (now - self._waiting[0][0] if self._waiting else 0.0)
        if not self.overloaded:
            if wait < self._limit or not self.answering:
                self._short_at = now
            elif wait > self._burst or now - self._short_at > self._burst:
                self._begin(now, TRIAL)
        elif now >= self._trial_at:
            if wait >= self._slack:
                self._begin(now, min(2 * self._pause, LAST_TRIAL))
            elif now >= self._trial_at + TRIED:
                self._end(now)
        elif now - self._counted_at > self._burst:
            if self._refused <= FEW * self._came:
                self._end(now)
            self._count_anew(now)

    def _count_anew(self, now: float) -> None:
        self._counted_at, self._came, self._refused = now, 0, 0

    def _end(self, now: float) -> None:
        self.overloaded, self._short_at = False, now

    def _begin(self, now: float, pause: float) -> None:
        self.overloaded = True
        self._count_anew(now)
        self._pause, self._trial_at = pause, now + pause
        for _, turn in self._waiting:
            if not turn.done():
                turn.set_exception(Overloaded())
        self._waiting.clear()

    async def __aenter__(self) -> None:
        """Watches the event loop from here on."""
        self._watching = asyncio.create_task(self._watch())

    async def __aexit__(self, *_: object) -> None:
        self._watching.cancel()

    async def _watch(self) -> None:
        while True:
            due = perf_counter() + BEAT
            await asyncio.sleep(BEAT)
            now = perf_counter()
            self._late = now - due
            self._look(now)


class Turns:
    """At most `count` at once. For one event loop."""

    def __init__(self, count: int = 8, load: Load | None = None) -> None:
        self.load = load or Load()
        """How long requests wait for theirs."""
        self.load.turns = count
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def __aenter__(self) -> None:
        """Waits for a turn, behind those who came before. Raises Overloaded where that would take too long."""
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
