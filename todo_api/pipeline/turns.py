"""Turns: so many requests are answered at once, and the others wait, in order, and not for long.

The queue is kept short by turning away what comes while it is long; `Load` says when. Its rule is that of CoDel (RFC 8289), as
Maurer's "Fail at Scale" (ACM Queue 13, 8) has it for servers: a burst may make a queue, and one that stays is not overcome by
waiting. So when overload begins, all who wait are turned away, and in it fewer are let in than could be answered, and nobody who does
not find half of the turns free: who is let in is answered about as fast as ever, and the others know at once.
"""

import asyncio
from collections import deque
from itertools import pairwise
from time import perf_counter
from typing import NamedTuple

from todo_api.pipeline.rejections import Overloaded

BURST = 4
"""How many times as long as usual requests may wait in a burst. It is none any more, but overload, when they wait for too long for all of
that time; or, where more come than are answered, for the usual time. And it is over when no more came in a burst's time than can be
answered."""

MORE = 1.25
"""How many times as many as are answered are more, and not chance."""

EACH = 10
"""Requests a second that can be answered in a turn, whatever was before: there may have been none."""

SLOWER = 1.2
"""How many times as long as before it requests may take in overload, on average. While they take less, more are let in, and else fewer."""

RISE, FALL = 1.05, 0.9
"""How many times as many, for as long as a burst may last."""

TRIAL, LAST_TRIAL = 2.0, 8.0
"""Seconds of overload after which it is tried whether it has passed, though some are still turned away: those who come again at once
would else keep it up by themselves. After each trial that fails it is twice as long, up to the second."""

TRIED = 1.0
"""Seconds for which nobody may have to wait for long in a trial: then overload is over."""

PROMPT = 0.004
"""Seconds that the event loop may be late in overload, when somebody is to be let in: a request meets that several times."""

BEAT = 0.01
"""Seconds between two looks at how late the event loop is, and at how many requests have come and been answered."""

FIFTH, FIFTHS = 20, 6
"""Beats of a fifth of a second, and how many fifths are remembered."""

JUST_NOW = 5
"""Beats by which it is seen how many come."""


class _Mark(NamedTuple):
    at: float
    came: int
    answered: int
    seconds: float


class Pace:
    """How many requests come, and how many are answered, and in how much time."""

    def __init__(self) -> None:
        self.came = self.answered = 0
        """So far."""
        self.seconds = 0.0
        """What those that are answered have taken, together."""
        self._known, self._known_until = 0.0, 0.0
        self._past = deque([self.now(perf_counter())], FIFTHS * FIFTH + 1)

    def answer(self, seconds: float) -> None:
        """One more is answered, and took so long."""
        self.answered += 1
        self.seconds += seconds

    def now(self, now: float) -> _Mark:
        """All of it, with the time."""
        return _Mark(now, self.came, self.answered, self.seconds)

    def beat(self, now: float) -> None:
        """To be called every BEAT."""
        self._past.append(self.now(now))

    def able(self) -> float:
        """The requests a second that can be answered: those that were in the best fifth of the last second, for it may have stood still."""
        marks = [*self._past][::-FIFTH]
        pairs = pairwise(marks)
        best = max(((late.answered - early.answered) / (late.at - early.at) for late, early in pairs), default=0.0)
        return max(best, self._known) if marks[0].at < self._known_until else best

    def remember(self, able: float, now: float) -> None:
        """So many can be answered, though fewer were, since others were turned away."""
        self._known, self._known_until = able, now + BEAT * FIFTH * FIFTHS

    def usual(self) -> float:
        """The seconds that a request took on average in the second before the last fifth of one; 0 where none was answered then."""
        first, last = self._past[0], self._past[max(-FIFTH, -len(self._past))]
        return (last.seconds - first.seconds) / max(last.answered - first.answered, 1)

    def coming(self) -> float:
        """The requests a second that come just now."""
        then, now = self._past[max(-1 - JUST_NOW, -len(self._past))], self._past[-1]
        return (now.came - then.came) / max(now.at - then.at, BEAT)


class Load:
    """How long requests wait: for the event loop to read them, and for their turn."""

    def __init__(self, limit: float = 0.05) -> None:
        """`limit` is for how many seconds requests may wait. One that comes alone is never turned away."""
        self.pace = Pace()
        self._limit = limit
        self._burst = limit * BURST
        self._slack = max(limit / BURST, BEAT)
        self._waiting: deque[tuple[float, asyncio.Future[None]]] = deque()
        self._late = 0.0
        self._short_at = perf_counter()
        self._counted = self.pace.now(0.0)
        self._able = self._usual = 0.0
        """Requests a second that can be answered, and seconds that each takes, as it was before overload."""
        self._rate = 0.0
        """Requests a second that are let in in overload."""
        self._room, self._room_at = 0.0, 0.0
        """For how many more there was room, and when."""
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
        self._room = min(self._room + self._rate * (now - self._room_at), max(1.0, self._rate * BEAT))
        self._room_at = now
        # With half of the turns the database does as much, and each request takes half as long.
        return self._room < 1 or bool(self._waiting) or 2 * self.taken > self.turns or self._late > PROMPT

    def count(self, *, refused: bool) -> None:
        """Another request has come."""
        self.pace.came += 1
        if not refused:
            self._room -= 1

    def _look(self, now: float) -> None:
        """Sees whether overload has begun, has passed, or is to be tried."""
        while self._waiting and self._waiting[0][1].done():
            self._waiting.popleft()
        wait = self._late + (now - self._waiting[0][0] if self._waiting else 0.0)
        if not self.overloaded:
            if wait < self._limit or not self.answering:
                self._short_at = now
            elif now - self._short_at > self._patience() or wait > self._burst:
                self._rate, self._usual = self._able, self.pace.usual()
                self._begin(now, TRIAL)
        elif now >= self._trial_at:
            if wait >= self._slack:
                self._begin(now, min(2 * self._pause, LAST_TRIAL))
            elif now >= self._trial_at + TRIED:
                self._end(now)
        elif now - self._counted.at > self._burst:
            self._adapt(now)

    def _patience(self) -> float:
        """The seconds for which requests may have to wait for long. Where few came so far, it is not known how many are too many."""
        able, least = self.pace.able(), EACH * self.turns
        self._able = max(able, least)
        return self._limit if self.pace.coming() > MORE * able and able > least else self._burst

    def _adapt(self, now: float) -> None:
        """Ends overload where no more came than can be answered; else lets more in, or fewer, than so far."""
        before, self._counted = self._counted, self.pace.now(now)
        if self._counted.came - before.came <= MORE * self._able * (now - before.at):
            self._end(now)
        took = (self._counted.seconds - before.seconds) / max(self._counted.answered - before.answered, 1)
        fits = took <= SLOWER * (self._usual or took)
        self._rate = max(self._rate * (RISE if fits else FALL), EACH * self.turns)

    def _end(self, now: float) -> None:
        self.overloaded, self._short_at = False, now
        self.pace.remember(self._able, now)

    def _begin(self, now: float, pause: float) -> None:
        self.overloaded = True
        self._counted = self.pace.now(now)
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
            self.pace.beat(now)
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
