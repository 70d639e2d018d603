"""Counts per key and window of time: in this process, or in Redis for all workers together.

The `limits` library counts in Redis. In memory it does not: with each count its store goes through all keys, 7 ms for 50,000 of
them, which whoever sends from many addresses would turn against the service.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from hashlib import blake2b
from time import time
from typing import NamedTuple, TypeVar
from zlib import crc32

from limits.aio.storage import RedisStorage
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

MOST_KEYS = 100_000
"""How many keys one process remembers for sure; twice as many at most."""

TIMEOUT = 0.1
"""Seconds that a request waits for Redis."""

PAUSE = 1.0
"""Seconds between looks whether Redis is back."""

CONNECTIONS = 16
"""To Redis, of each worker."""

Answer = TypeVar("Answer")

_log = logging.getLogger(__name__)


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


class Shared:
    """Counts in Redis. While that is away it counts in this process; it says so once, and when it is back."""

    def __init__(self, url: str, secret: bytes) -> None:
        """`secret` keeps users and addresses from those who can read Redis: its keys are digests under it."""
        self._memory = Memory()
        self._secret = blake2b(secret, digest_size=32).digest()
        self._pool = BlockingConnectionPool.from_url(
            url,
            max_connections=CONNECTIONS,
            timeout=TIMEOUT,
            socket_timeout=TIMEOUT,
            socket_connect_timeout=TIMEOUT,
            retry=Retry(NoBackoff(), 0),  # a request does not wait for a second try
        )
        self._storage = RedisStorage(
            url,
            implementation="redispy",
            key_prefix="todo-api",
            connection_pool=self._pool,  # type: ignore[arg-type]  # documented, and left out of the annotation
        )
        self.client = Redis(connection_pool=self._pool)
        """For what the library does not do."""
        self._looking: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Says so where Redis is away from the start."""
        try:
            async with asyncio.timeout(TIMEOUT):
                await self._storage.get("")
        except (RedisError, OSError, TimeoutError) as error:
            self._lost(error)

    async def hit(self, key: str, seconds: int) -> Count:
        """Counts the key once."""
        number, left = window(key, seconds, time())
        name = self.digest(f"{key}/{seconds}/{number}")

        async def count() -> Count:
            return Count(await self._storage.incr(name, seconds), left)

        return await self.ask(count, lambda: self._memory.hit(key, seconds))

    async def ask(self, question: Callable[[], Awaitable[Answer]], otherwise: Callable[[], Answer]) -> Answer:
        """What Redis answers; where it is away, what `otherwise` does."""
        if self._looking is None:
            try:
                async with asyncio.timeout(TIMEOUT):
                    return await question()
            except (RedisError, OSError, TimeoutError) as error:
                self._lost(error)
        return otherwise()

    def digest(self, name: str) -> str:
        """The name of a key, for those who can read Redis to make nothing of."""
        return blake2b(name.encode(), key=self._secret, digest_size=16).hexdigest()

    async def close(self) -> None:
        """Ends its connections."""
        if self._looking is not None:
            self._looking.cancel()
        await self._pool.disconnect()

    def _lost(self, error: Exception) -> None:
        if self._looking is None:
            _log.warning(
                "Redis is away (%s): each worker counts for itself, so limits hold per worker", type(error).__name__
            )
            self._looking = asyncio.get_running_loop().create_task(self._look())

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(PAUSE)
            try:
                async with asyncio.timeout(TIMEOUT):
                    await self._pool.disconnect(inuse_connections=False)  # those from before are of no use
                    await self._storage.get("")
            except (RedisError, OSError, TimeoutError):
                continue
            self._looking = None
            _log.warning("Redis is back: all workers count together again")
            return
