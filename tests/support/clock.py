"""Event loop on a clock of its own, so that no deadline depends on the machine's speed."""

import asyncio
from selectors import SelectSelector
from typing import Any


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
