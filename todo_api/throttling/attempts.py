"""Password attempts with exponential back-off, counted in this process or in Redis.

An attempt counts when it begins, so concurrent ones all count. It is refunded if it turns out not
to be a guess.
"""

import mmap
from collections.abc import Awaitable, Callable, Sequence
from hashlib import blake2b
from math import ceil
from time import time
from typing import TYPE_CHECKING, Any, NamedTuple

from todo_api.throttling.counters import MAX_KEYS

if TYPE_CHECKING:  # needed only with Redis
    from todo_api.throttling.redis import RedisCounters

ATTEMPT_TTL = 86400
"""Seconds for which attempts are remembered after the latest one."""

KNOWN_LOGIN_TTL = 90 * 86400
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
  local excess = redis.call('HINCRBY', key, 'number', 1) - tonumber(ARGV[2 * index - 1])
  local free_at = 0
  if excess >= 0 then free_at = now + math.min(tonumber(ARGV[2 * index]), 2 ^ math.min(excess, {_DOUBLINGS})) end
  redis.call('HSET', key, 'free_at', string.format('%.3f', math.floor(free_at * 1000) / 1000)) -- round down, never a longer wait
  redis.call('EXPIRE', key, {ATTEMPT_TTL})
end
return 0
"""
"""The same as `_LocalAttempts.begin`, for all workers and by the clock of Redis."""

_REFUND = """
for _, key in ipairs(KEYS) do
  if redis.call('HINCRBY', key, 'number', -1) > 0 then redis.call('HSET', key, 'free_at', 0) else redis.call('DEL', key) end
end
"""


class Backoff(NamedTuple):
    """`free` attempts at once, then a delay of 1 s that doubles up to `longest` seconds."""

    free: int
    longest: int = 300

    def delay(self, number: int) -> int:
        """Return the seconds between the attempt of this number and the next."""
        excess = number - self.free
        return 0 if excess < 0 else int(min(self.longest, 1 << min(excess, _DOUBLINGS)))


class CounterKey(NamedTuple):
    """Name of a counter of attempts, and its back-off."""

    name: str
    backoff: Backoff


class KnownLogins:
    """Pairs of account and address that have signed in, in memory that forked workers share.

    It has a fixed size: when a bucket is full, a pair replaces another.
    """

    def __init__(self, size: int = 1 << 17) -> None:
        self._buckets = size // _BUCKET
        self._digests = memoryview(mmap.mmap(-1, size * 8)).cast("Q")

    def add(self, name: str) -> None:
        """Remember a pair."""
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


class AttemptCounters:
    """Counters of attempts: of all workers with Redis, else of this process."""

    def __init__(self, known_logins: KnownLogins, shared: "RedisCounters | None" = None) -> None:
        self._known_logins = known_logins
        self._local = _LocalAttempts()
        self._shared = shared
        if shared is not None:
            self._begin, self._refund = map(shared.client.register_script, (_BEGIN, _REFUND))

    async def begin(self, keys: Sequence[CounterKey]) -> int:
        """Count an attempt for all keys and return 0, or only return the seconds to wait."""
        numbers = [number for key in keys for number in key.backoff]
        return int(
            await self._in_redis(
                lambda redis: self._begin(keys=[redis.digest(key.name) for key in keys], args=numbers),
                lambda: self._local.begin(keys),
            )
        )

    async def refund(self, keys: Sequence[CounterKey]) -> None:
        """Take back the latest attempt, which was not a guess."""
        self._local.refund(keys)
        if keys:
            await self._in_redis(lambda redis: self._refund(keys=[redis.digest(key.name) for key in keys]))

    async def forget(self, key: CounterKey) -> None:
        """Take back all attempts."""
        self._local.forget(key)
        await self._in_redis(lambda redis: redis.client.delete(redis.digest(key.name)))

    async def is_known(self, pair: str) -> bool:
        """Return whether the pair of account and address has signed in before."""
        return pair in self._known_logins or bool(
            await self._in_redis(lambda redis: redis.client.exists(redis.digest(pair)))
        )

    async def remember(self, pair: str) -> None:
        """Remember a pair: in Redis for `KNOWN_LOGIN_TTL`, here until the service restarts."""
        self._known_logins.add(pair)
        await self._in_redis(lambda redis: redis.client.set(redis.digest(pair), 1, ex=KNOWN_LOGIN_TTL))

    async def _in_redis(
        self, call: Callable[["RedisCounters"], Awaitable[Any]], otherwise: Callable[[], Any] = lambda: None
    ) -> Any:
        """Return the result of a call, or of `otherwise` without Redis and while it is away."""
        shared = self._shared
        if shared is None:
            return otherwise()
        return await shared.call_or_fallback(lambda: call(shared), otherwise)


class _LocalAttempts:
    """Attempts of this process. It keeps the latest `max_keys` keys."""

    def __init__(self, max_keys: int = MAX_KEYS) -> None:
        self._max_keys = max_keys
        self._seen: dict[str, tuple[int, float]] = {}

    def begin(self, keys: Sequence[CounterKey]) -> int:
        now = time()
        known = [self._seen.get(key.name, (0, 0.0)) for key in keys]
        wait = max(ceil(free_at - now) for _, free_at in known)
        if wait > 0:
            return wait
        for key, (number, free_at) in zip(keys, known, strict=True):
            number = number + 1 if now - free_at < ATTEMPT_TTL else 1  # noqa: PLW2901  # the next one
            self._seen.pop(key.name, None)
            self._seen[key.name] = (number, now + key.backoff.delay(number))
            if len(self._seen) > self._max_keys:
                del self._seen[next(iter(self._seen))]
        return 0

    def refund(self, keys: Sequence[CounterKey]) -> None:
        for key in keys:
            number, _ = self._seen.pop(key.name, (0, 0.0))
            if number > 1:
                self._seen[key.name] = (number - 1, time())

    def forget(self, key: CounterKey) -> None:
        self._seen.pop(key.name, None)
