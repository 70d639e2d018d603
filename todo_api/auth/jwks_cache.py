"""Cache of an issuer's keys. A token whose key is known never waits for the issuer.

At most one fetch runs at a time and at most one starts per `cooldown`; one starts per `ttl` without
a request. Keys that cannot be refreshed stay in use until they are `max_stale` old. An unknown key
is looked up in a set whose fetch started after the look-up, since the issuer may create a key for
the very token that needs it.
"""

import asyncio
import logging
import math
import time
from typing import NamedTuple

from todo_api.auth.jwks_client import FetchFailed, JwksClient
from todo_api.auth.public_keys import Key, Keys, find_key, parse_jwks
from todo_api.auth.tokens import invalid_token
from todo_api.errors import Unavailable

MAX_WAITING = 200
"""Maximum number of requests that wait for a fetch. Anonymous clients can make theirs wait."""

_UNREACHABLE = "The keys of the token's issuer cannot be reached."
_log = logging.getLogger(__name__)


class RefreshPolicy(NamedTuple):
    """Times of fetching and of using keys, in seconds."""

    ttl: float = 300
    max_stale: float = 86400
    cooldown: float = 5
    retry: float = 30
    """Between background fetches while they fail."""


class IssuerKeys:
    """Keys of an issuer: from a file or a secret, so they do not change while the process runs."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self.generation = 0
        """Changes whenever a key is withdrawn."""

    @property
    def known(self) -> bool:
        """Return whether any key is known."""
        return bool(self._keys)

    def get(self, key_id: str | None, algorithm: str) -> Key | None:
        """Return the key, None if it is unknown. Never wait."""
        return find_key(self._keys, key_id, algorithm)

    async def fetch_for(self, key_id: str | None, algorithm: str) -> None:
        """Do nothing: there are no further keys."""

    async def refresh(self) -> None:
        """Do nothing: there are no newer keys."""

    def start(self) -> None:
        """Do nothing."""

    async def close(self) -> None:
        """Do nothing."""


class JwksCache(IssuerKeys):
    """Keys that an issuer publishes. For one event loop."""

    def __init__(self, client: JwksClient, algorithms: tuple[str, ...], policy: RefreshPolicy) -> None:
        super().__init__({})
        self._client = client
        self._algorithms = algorithms
        self._policy = policy
        self._fetched = self._fetch_started = -math.inf
        """When the last successful fetch started, and when the last fetch of all did."""

        self._failure: str | None = None
        """Why the last fetch failed; None if it succeeded."""

        self._fetch: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._waiting = 0

    async def fetch_for(self, key_id: str | None, algorithm: str) -> None:
        """Wait until the key is known.

        Raise Unauthorized if there is none, Unavailable if a fetch fails.
        """
        if self._waiting >= MAX_WAITING:
            raise self._unavailable()
        asked = time.monotonic()
        self._waiting += 1
        try:
            while self.get(key_id, algorithm) is None:
                if self._fetched > asked:
                    raise invalid_token("key")
                await self._await_fetch()
                if self._failure and self.get(key_id, algorithm) is None:
                    raise self._unavailable() from FetchFailed(self._failure)
        finally:
            self._waiting -= 1

    async def refresh(self) -> None:
        """Wait for a fetch if one is running or may start; else return at once.

        Ignore its failure.
        """
        may_start = self._fetch is None and self._cooldown_left() <= 0
        if (may_start or self._is_fetching()) and self._waiting < MAX_WAITING:
            self._waiting += 1
            try:
                await self._await_fetch()
            finally:
                self._waiting -= 1

    def start(self) -> None:
        """Fetch the keys now and regularly from then on."""
        if self._fetch is None:
            self._fetch = asyncio.get_running_loop().create_task(self._fetch_after(self._cooldown_left()))

    async def close(self) -> None:
        """Stop the background fetches."""
        if self._fetch is not None:
            self._fetch.cancel()
            await asyncio.gather(self._fetch, return_exceptions=True)
        if self._timer is not None:
            self._timer.cancel()

    async def _await_fetch(self) -> None:
        """Wait for the running or next fetch.

        Raise Unavailable at once if the last has just failed.
        """
        if self._fetch is None and self._failure and self._cooldown_left() > 0:
            raise self._unavailable() from FetchFailed(self._failure)
        self.start()
        assert self._fetch is not None  # noqa: S101  # started just now
        await asyncio.shield(self._fetch)

    async def _fetch_after(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        if self._timer is not None:
            self._timer.cancel()
        started = self._fetch_started = time.monotonic()
        next_in = min(self._policy.retry, self._policy.ttl)
        try:
            keys = parse_jwks(await self._client.fetch(), self._algorithms, self._keys)
            next_in = self._policy.ttl
            self._store(keys, started)
        except (FetchFailed, ValueError) as error:
            self._fail(str(error))
        except Exception as error:
            self._fail(type(error).__name__)
            _log.exception("unexpected error while fetching the issuer's keys")
        finally:
            self._fetch = None
            self._timer = asyncio.get_running_loop().call_later(next_in, self.start)

    def _store(self, keys: Keys, started: float) -> None:
        if self._failure:
            _log.warning("The issuer's keys can be fetched again.")
        if not keys:
            _log.warning("The issuer publishes no key for %s.", ", ".join(self._algorithms))
        self._failure = None
        self._fetched = started
        self._replace(keys)

    def _fail(self, why: str) -> None:
        if not self._failure:
            _log.warning("The issuer's keys cannot be fetched: %s. Known keys stay in use.", why)
        self._failure = why
        if time.monotonic() - self._fetched > self._policy.max_stale:
            self._replace({})

    def _replace(self, keys: Keys) -> None:
        if any(keys.get(name) is not key for name, key in self._keys.items()):
            self.generation += 1
        self._keys = keys

    def _is_fetching(self) -> bool:
        return self._fetch is not None and self._fetch_started > self._fetched and not self._failure

    def _cooldown_left(self) -> float:
        return max(0.0, self._fetch_started + self._policy.cooldown - time.monotonic())

    def _unavailable(self) -> Unavailable:
        return Unavailable(_UNREACHABLE, retry_after=max(1, math.ceil(self._cooldown_left())))
