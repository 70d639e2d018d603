"""The rate limits of a deployment, as middlewares for the pipeline."""

import ipaddress
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from starlette.types import Scope

from todo_api.config import Config, cursor_secret
from todo_api.throttling.attempts import AttemptCounters, KnownLogins
from todo_api.throttling.client_address import ClientAddresses
from todo_api.throttling.login_throttle import LoginThrottle
from todo_api.throttling.rate_limit import (
    PAGES,
    OperationsRateLimit,
    Rate,
    RateLimiter,
    RateLimitMiddleware,
    UnauthenticatedRateLimit,
)

if TYPE_CHECKING:  # needed only with Redis
    from todo_api.throttling.redis import RedisCounters


class Throttling:
    """Middlewares for four places of the pipeline. Use it as an asynchronous context manager."""

    def __init__(self, config: Config, known_logins: KnownLogins) -> None:
        """Build the middlewares. The workers of a machine share `known_logins`."""
        addresses = ClientAddresses(map(ipaddress.ip_network, config.trusted_proxies))
        self._shared = _shared(config)
        self.address_middlewares: list[Any] = []
        self.count_page: Callable[[Scope], Awaitable[None]] | None = None
        self.user_middlewares: list[Any] = []
        self.operation_middlewares: list[Any] = []
        attempts = None
        if config.rate is not None:
            limit = RateLimiter(Rate(*config.rate), addresses, self._shared)
            self.address_middlewares = [partial(UnauthenticatedRateLimit, limit=limit)]
            self.count_page = RateLimiter(PAGES, addresses, self._shared, of_pages=True).count
            self.user_middlewares = [partial(RateLimitMiddleware, limit=limit)]
            self.operation_middlewares = [partial(OperationsRateLimit, limit=limit)]
            attempts = AttemptCounters(known_logins, self._shared)
        self.login_middlewares = [
            partial(LoginThrottle, attempts=attempts, addresses=addresses, verifies_email=config.verifies_email)
        ]

    async def __aenter__(self) -> None:
        if self._shared is not None:
            await self._shared.start()

    async def __aexit__(self, *_: object) -> None:
        if self._shared is not None:
            await self._shared.close()


def check_counters(config: Config) -> None:
    """Raise ConfigurationError for a URL of Redis that its client refuses."""
    if config.rate_limit_storage_url and config.rate is not None:
        _in_redis(config.rate_limit_storage_url, b"")


def _shared(config: Config) -> "RedisCounters | None":
    """Return the counters that all workers share, None if each counts for itself."""
    if not config.rate_limit_storage_url or config.rate is None:
        return None
    return _in_redis(config.rate_limit_storage_url, cursor_secret(config))


def _in_redis(url: str, secret: bytes) -> "RedisCounters":
    from todo_api.throttling.redis import RedisCounters  # noqa: PLC0415  # needed only with Redis

    return RedisCounters(url, secret)
