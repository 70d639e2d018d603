"""Counts in Redis, for all workers together. Imported only where there is one: its two libraries take a third of a second."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from hashlib import blake2b
from time import time
from typing import TypeVar

from limits.aio.storage import RedisStorage
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from todo_api.throttling.counters import Count, Memory, window

TIMEOUT = 0.1
"""Seconds that a request waits for Redis."""

PAUSE = 1.0
"""Seconds between looks whether Redis is back."""

CONNECTIONS = 16
"""To Redis, of each worker."""

Answer = TypeVar("Answer")

_log = logging.getLogger(__name__)


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
