"""Counters in Redis, for all workers. Imported only if configured: it takes a third of a second."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from hashlib import blake2b
from time import time
from typing import TypeVar

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from todo_api.config import ConfigurationError
from todo_api.throttling.counters import Count, LocalCounters, window

TIMEOUT = 0.1
"""Seconds for which a request waits for Redis."""

PROBE_INTERVAL = 1.0
"""Seconds between checks whether Redis is back."""

CONNECTIONS = 16
"""Maximum number of connections of a worker to Redis."""

_INCREMENT = """
local number = redis.call('INCRBY', KEYS[1], ARGV[2])
if number < 0 then return redis.call('DEL', KEYS[1]) end
if number == tonumber(ARGV[2]) then redis.call('EXPIRE', KEYS[1], ARGV[1]) end
return number
"""
"""Count and expiry in one step: a count that lost its expiry would never end."""

Answer = TypeVar("Answer")

_log = logging.getLogger(__name__)


class RedisCounters:
    """Counters in Redis. While it cannot be reached, they count in this process."""

    def __init__(self, url: str, secret: bytes) -> None:
        """Keys in Redis are digests with `secret`, which hides users and addresses.

        Raise ConfigurationError for a URL with an option that cannot be used.
        """
        self._local = LocalCounters()
        self._secret = blake2b(secret, digest_size=32).digest()
        try:
            self._pool = BlockingConnectionPool.from_url(
                url,
                max_connections=CONNECTIONS,
                timeout=TIMEOUT,
                socket_timeout=TIMEOUT,
                socket_connect_timeout=TIMEOUT,
                retry=Retry(NoBackoff(), 0),  # a request does not wait for a retry
            )
            self._pool.connection_class(**self._pool.connection_kwargs)
        except (TypeError, ValueError) as error:
            raise ConfigurationError(
                "RATE_LIMIT_STORAGE_URL has an option that the client of Redis refuses."
            ) from error
        self.client = Redis(connection_pool=self._pool)
        self._increment = self.client.register_script(_INCREMENT)
        self._probe: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Log if Redis cannot be reached."""
        try:
            async with asyncio.timeout(TIMEOUT):
                await self._ping()
        except (RedisError, OSError, TimeoutError) as error:
            self._on_failure(error)

    async def increment(self, key: str, seconds: int, by: int = 1) -> Count:
        """Count the key once, or `by` times; below 0 take counts back."""
        number, left = window(key, seconds, time())
        name = f"todo-api:{self.digest(f'{key}/{seconds}/{number}')}"

        async def count() -> Count:
            return Count(await self._increment(keys=[name], args=[seconds, by]), left)

        return await self.call_or_fallback(count, lambda: self._local.increment(key, seconds, by=by))

    async def call_or_fallback(self, call: Callable[[], Awaitable[Answer]], fallback: Callable[[], Answer]) -> Answer:
        """Return the result of `call`, or of `fallback` if Redis cannot be reached."""
        if self._probe is None:
            try:
                async with asyncio.timeout(TIMEOUT):
                    return await call()
            except (RedisError, OSError, TimeoutError) as error:
                self._on_failure(error)
        return fallback()

    def digest(self, name: str) -> str:
        """Return the name of a key, which does not reveal the key."""
        return blake2b(name.encode(), key=self._secret, digest_size=16).hexdigest()

    async def close(self) -> None:
        """Close the connections."""
        if self._probe is not None:
            self._probe.cancel()
        await self._pool.disconnect()

    def _on_failure(self, error: Exception) -> None:
        if self._probe is None:
            _log.warning(
                "Redis cannot be reached at %s (%s). Each worker counts alone, so limits apply per worker.",
                self._address(),
                self._reason(error),
            )
            self._probe = asyncio.get_running_loop().create_task(self._probe_until_back())

    async def _ping(self) -> None:
        await self.client.ping()

    def _address(self) -> str:
        options = self._pool.connection_kwargs
        return str(options.get("path") or f"{options.get('host', 'localhost')}:{options.get('port', 6379)}")

    def _reason(self, error: Exception) -> str:
        """Return the type of an error, and its first line unless that has the password."""
        kind, text = type(error).__name__, str(error).strip().partition("\n")[0]
        password = self._pool.connection_kwargs.get("password")
        return f"{kind}: {text}" if text and not (password and password in text) else kind

    async def _probe_until_back(self) -> None:
        while True:
            await asyncio.sleep(PROBE_INTERVAL)
            try:
                async with asyncio.timeout(TIMEOUT):
                    await self._pool.disconnect(inuse_connections=False)  # those from before the failure are broken
                    await self._ping()
            except (RedisError, OSError, TimeoutError):
                continue
            self._probe = None
            _log.warning("Redis can be reached again. All workers count together.")
            return
