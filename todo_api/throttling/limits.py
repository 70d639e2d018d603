"""The limits of one deployment, put together: who counts, whom, and where in the pipeline."""

import ipaddress
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from starlette.types import Scope

from todo_api.config import Config, cursor_secret
from todo_api.throttling.attempts import Attempts, FamiliarPairs
from todo_api.throttling.client_address import Addresses
from todo_api.throttling.login_throttle import Guesses
from todo_api.throttling.rate_limit import PAGES, AddressLimits, Limit, Rate, RateLimits

if TYPE_CHECKING:  # needed only where there is a Redis
    from todo_api.throttling.redis import Shared


class Limits:
    """Middlewares for three places of the pipeline. `async with` it while requests are answered."""

    def __init__(self, config: Config, familiar: FamiliarPairs) -> None:
        """`familiar` is shared by the workers of this machine."""
        addresses = Addresses(map(ipaddress.ip_network, config.trusted_proxies))
        self._shared = _shared(config)
        self.of_addresses: list[Any] = []
        self.of_pages: Callable[[Scope], Awaitable[None]] | None = None
        self.of_users: list[Any] = []
        attempts = None
        if config.rate is not None:
            limit = Limit(Rate(*config.rate), addresses, self._shared)
            self.of_addresses = [partial(AddressLimits, limit=limit)]
            self.of_pages = Limit(PAGES, addresses, self._shared, of_pages=True).count
            self.of_users = [partial(RateLimits, limit=limit)]
            attempts = Attempts(familiar, self._shared)
        self.of_attempts = [partial(Guesses, attempts=attempts, addresses=addresses)]

    async def __aenter__(self) -> None:
        if self._shared is not None:
            await self._shared.start()

    async def __aexit__(self, *_: object) -> None:
        if self._shared is not None:
            await self._shared.close()


def _shared(config: Config) -> "Shared | None":
    """The counts of all workers, where they count together."""
    if not config.rate_limit_storage_url or config.rate is None:
        return None
    from todo_api.throttling.redis import Shared  # noqa: PLC0415  # needed only where there is a Redis

    return Shared(config.rate_limit_storage_url, cursor_secret(config))
