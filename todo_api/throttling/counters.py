"""Counters per key and time window, in this process. `redis` counts for all workers.

Decision 13 says why no library counts here.
"""

from time import time
from typing import NamedTuple
from zlib import crc32

MAX_KEYS = 100_000
"""Number of keys that a process surely remembers. It remembers at most twice as many."""


class Count(NamedTuple):
    """Number of counts of a key in its current window, and the seconds left of the window."""

    number: int
    left: int


def window(key: str, seconds: int, now: float) -> tuple[int, int]:
    """Return the number of the current window of a key, and the seconds left of it.

    Each key's windows start at other times, the same in all workers, so clients do not all return
    at once.
    """
    number, passed = divmod(int(now) + crc32(key.encode()), seconds)
    return number, seconds - passed


class LocalCounters:
    """Counters in this process, with constant time per count and at most `2 * max_keys` keys."""

    def __init__(self, max_keys: int = MAX_KEYS) -> None:
        self._max_keys = max_keys
        self._recent: dict[str, tuple[int, int]] = {}
        self._old: dict[str, tuple[int, int]] = {}

    def increment(self, key: str, seconds: int, now: float | None = None, by: int = 1) -> Count:
        """Count the key once, or `by` times; below 0 take counts back."""
        number, left = window(key, seconds, time() if now is None else now)
        known = self._recent.get(key)
        if known is None:
            known = self._old.get(key)
            if len(self._recent) >= self._max_keys:  # forget keys not counted since the last swap
                self._old, self._recent = self._recent, {}
        count = known[1] + by if known is not None and known[0] == number else max(by, 0)
        self._recent[key] = (number, count)
        return Count(count, left)
