"""Counts per key and window of time in this process. `shared_counters.py` counts in Redis, for all workers together.

The `limits` library counts in Redis. In memory it does not: with each count its store goes through all keys, 7 ms for 50,000 of
them, which whoever sends from many addresses would turn against the service.
"""

from time import time
from typing import NamedTuple
from zlib import crc32

MOST_KEYS = 100_000
"""How many keys one process remembers for sure; twice as many at most."""


class Count(NamedTuple):
    """How often a key was counted in its present window, and how many seconds are left of that."""

    number: int
    left: int


class Window(NamedTuple):
    """Which window of a key a moment is in, and how many seconds are left of it."""

    number: int
    left: int


def window(key: str, seconds: int, now: float) -> Window:
    """The window of a key. Every key has borders of its own, the same in all workers, so that not all clients come back at one moment."""
    number, passed = divmod(int(now) + crc32(key.encode()), seconds)
    return Window(number, seconds - passed)


class Memory:
    """Counts in this process. What it costs does not grow with the keys, and neither does its memory beyond `2 * most`."""

    def __init__(self, most: int = MOST_KEYS) -> None:
        self._most = most
        self._young: dict[str, tuple[int, int]] = {}
        self._old: dict[str, tuple[int, int]] = {}

    def hit(self, key: str, seconds: int, now: float | None = None) -> Count:
        """Counts the key once."""
        number, left = window(key, seconds, time() if now is None else now)
        known = self._young.get(key)
        if known is None:
            known = self._old.get(key)
            if len(self._young) >= self._most:  # those not met since the last time are forgotten
                self._old, self._young = self._young, {}
        count = known[1] + 1 if known is not None and known[0] == number else 1
        self._young[key] = (number, count)
        return Count(count, left)
