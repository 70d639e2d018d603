"""Clocks of tests, so that nothing depends on how fast the machine is."""

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from selectors import SelectSelector
from time import time
from typing import Any, TypeVar

import pytest

from todo_api.throttling import attempts

Result = TypeVar("Result")

TICK = 0.001
"""Seconds by which uvloop may end a wait early: its clock has whole milliseconds."""


class Clock(SelectSelector):
    """Selector that lets time pass in place of waiting."""

    now = 1000.0

    def select(self, timeout: float | None = None) -> Any:
        self.now += timeout or 0.0
        return super().select(0)

    def new_loop(self) -> asyncio.SelectorEventLoop:
        """Return an event loop whose time is that of the clock."""
        loop = asyncio.SelectorEventLoop(self)
        loop.time = lambda: self.now  # type: ignore[method-assign]  # the time is the clock's
        loop._clock_resolution = 1e-9  # type: ignore[attr-defined]  # else it takes what is due soon for due
        return loop


class ManualClock:
    """Stands in for `time.time`, and stands still until it is moved on."""

    def __init__(self) -> None:
        self._now = time()

    def __call__(self) -> float:
        return self._now

    def move_on(self, seconds: float) -> None:
        self._now += seconds


@contextmanager
def clock_of_attempts() -> Iterator[ManualClock]:
    """Count attempts with passwords, in this process, by a clock of the test's."""
    with pytest.MonkeyPatch.context() as patch:
        clock = ManualClock()
        patch.setattr(attempts, "time", clock)
        yield clock


class LoopClock:
    """Runs coroutines in an event loop whose time any thread can move on: who waits for that moment is woken at once."""

    def __init__(self) -> None:
        self._loop = asyncio.SelectorEventLoop()
        self._skipped = 0.0
        real = self._loop.time
        self._loop.time = lambda: real() + self._skipped  # type: ignore[method-assign]  # the time is what is skipped as well

    def run(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            return runner.run(coroutine)

    def move_on(self, seconds: float) -> None:
        self._skipped += seconds
        self._loop.call_soon_threadsafe(lambda: None)
