"""How often a password may be tried: some times at once, then with a delay that doubles. Counted in this process, or in Redis.

An attempt counts when it begins, so that many at once are as many, and is taken back where it turns out to be no guess.
"""

import mmap
from collections.abc import Sequence
from hashlib import blake2b
from math import ceil
from time import time
from typing import TYPE_CHECKING, NamedTuple

from todo_api.throttling.counters import MOST_KEYS

if TYPE_CHECKING:  # needed only where there is a Redis
    from todo_api.throttling.redis import Shared

FORGOTTEN = 86400
"""Seconds after the latest attempt for which they are remembered."""

FAMILIAR = 90 * 86400
"""Seconds for which Redis remembers an address from which an account has signed in."""

_BUCKET = 8
_DOUBLINGS = 20

_BEGIN = f"""
local moment = redis.call('TIME')
local now = tonumber(moment[1]) + tonumber(moment[2]) / 1000000
local wait = 0
for _, key in ipairs(KEYS) do
  wait = math.max(wait, math.ceil(tonumber(redis.call('HGET', key, 'free_at') or 0) - now))
end
if wait > 0 then return wait end
for index, key in ipairs(KEYS) do
  local beyond = redis.call('HINCRBY', key, 'number', 1) - tonumber(ARGV[2 * index - 1])
  local free_at = 0
  if beyond >= 0 then free_at = now + math.min(tonumber(ARGV[2 * index]), 2 ^ math.min(beyond, {_DOUBLINGS})) end
  redis.call('HSET', key, 'free_at', string.format('%.3f', math.floor(free_at * 1000) / 1000)) -- rounded up, the next would wait longer
  redis.call('EXPIRE', key, {FORGOTTEN})
end
return 0
"""
"""As `_Local.begin`, for all workers at once, and by the clock of Redis."""

_GIVE_BACK = """
for _, key in ipairs(KEYS) do
  if redis.call('HINCRBY', key, 'number', -1) > 0 then redis.call('HSET', key, 'free_at', 0) else redis.call('DEL', key) end
end
"""


class Allowance(NamedTuple):
    """So many attempts at once; after the last of them one second to wait, then two, four, and `longest` at most."""

    free: int
    longest: int

    def delay(self, number: int) -> int:
        """Seconds from the attempt of that number to the next one."""
        beyond = number - self.free
        return 0 if beyond < 0 else int(min(self.longest, 1 << min(beyond, _DOUBLINGS)))


class Key(NamedTuple):
    """Whose attempts are counted together, and how many these are."""

    name: str
    allowance: Allowance


class FamiliarPairs:
    """Pairs of account and address that have signed in. Made before the workers are, it is one for all of them; it does not grow,
    and with very many forgets some."""

    def __init__(self, size: int = 1 << 17) -> None:
        self._buckets = size // _BUCKET
        self._digests = memoryview(mmap.mmap(-1, size * 8)).cast("Q")

    def add(self, name: str) -> None:
        """Remembers a pair."""
        digest, start = self._place(name)
        bucket = self._digests[start : start + _BUCKET].tolist()
        if digest not in bucket:
            self._digests[start + (bucket.index(0) if 0 in bucket else digest % _BUCKET)] = digest

    def __contains__(self, name: str) -> bool:
        digest, start = self._place(name)
        return digest in self._digests[start : start + _BUCKET].tolist()

    def _place(self, name: str) -> tuple[int, int]:
        digest = int.from_bytes(blake2b(name.encode(), digest_size=16).digest())
        return (digest & 0xFFFFFFFFFFFFFFFF) or 1, (digest >> 64) % self._buckets * _BUCKET


class Attempts:
    """Attempts of all workers, where Redis is there; else of this process."""

    def __init__(self, familiar: FamiliarPairs, shared: "Shared | None" = None) -> None:
        self._familiar = familiar
        self._local = _Local()
        self._shared = shared
        if shared is not None:
            self._begin, self._give_back = (
                shared.client.register_script(_BEGIN),
                shared.client.register_script(_GIVE_BACK),
            )

    async def begin(self, keys: Sequence[Key]) -> int:
        """Counts an attempt for all keys, and gives 0; or counts nothing, and gives the seconds to wait."""
        if self._shared is None:
            return self._local.begin(keys)
        names = self._names(keys)
        numbers = [number for key in keys for number in key.allowance]
        return int(
            await self._shared.ask(lambda: self._begin(keys=names, args=numbers), lambda: self._local.begin(keys))
        )

    async def give_back(self, keys: Sequence[Key]) -> None:
        """Takes the latest attempt back: it was no guess."""
        self._local.give_back(keys)
        if self._shared is not None and keys:
            names = self._names(keys)
            await self._shared.ask(lambda: self._give_back(keys=names), lambda: None)

    async def forget(self, key: Key) -> None:
        """Takes all attempts back."""
        self._local.forget(key)
        if self._shared is not None:
            client, name = self._shared.client, self._shared.digest(key.name)
            await self._shared.ask(lambda: client.delete(name), lambda: 0)

    async def is_familiar(self, pair: str) -> bool:
        """Whether the pair was learned."""
        if pair in self._familiar or self._shared is None:
            return pair in self._familiar
        client, name = self._shared.client, self._shared.digest(pair)
        return bool(await self._shared.ask(lambda: client.exists(name), lambda: 0))

    async def learn(self, pair: str) -> None:
        """Remembers a pair: in Redis for `FAMILIAR` seconds, and on this machine until the service is started anew."""
        self._familiar.add(pair)
        if self._shared is not None:
            client, name = self._shared.client, self._shared.digest(pair)
            await self._shared.ask(lambda: client.set(name, 1, ex=FAMILIAR), lambda: None)

    def _names(self, keys: Sequence[Key]) -> list[str]:
        assert self._shared is not None  # noqa: S101  # asked only where it is there
        return [self._shared.digest(key.name) for key in keys]


class _Local:
    """Attempts that this process has seen: the latest of them, so that it does not grow."""

    def __init__(self, most: int = MOST_KEYS) -> None:
        self._most = most
        self._seen: dict[str, tuple[int, float]] = {}

    def begin(self, keys: Sequence[Key]) -> int:
        now = time()
        known = [self._seen.get(key.name, (0, 0.0)) for key in keys]
        wait = max(ceil(free_at - now) for _, free_at in known)
        if wait > 0:
            return wait
        for key, (number, free_at) in zip(keys, known, strict=True):
            number = number + 1 if now - free_at < FORGOTTEN else 1  # noqa: PLW2901  # the next one
            self._seen.pop(key.name, None)
            self._seen[key.name] = (number, now + key.allowance.delay(number))
            if len(self._seen) > self._most:
                del self._seen[next(iter(self._seen))]
        return 0

    def give_back(self, keys: Sequence[Key]) -> None:
        for key in keys:
            number, _ = self._seen.pop(key.name, (0, 0.0))
            if number > 1:
                self._seen[key.name] = (number - 1, time())

    def forget(self, key: Key) -> None:
        self._seen.pop(key.name, None)
