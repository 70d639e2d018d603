"""The keys of an issuer, kept at hand: a token whose key is known never waits for the issuer, however sick that is.

One fetch at a time, at most one each `cooldown` counted from its beginning, and one each `ttl` without anybody asking. Keys that cannot
be renewed are served on until they are `max_stale` old. A key that is not known is looked for in a set whose fetch began after it was
asked for: only such a set can say that there is no such key, since an issuer may make a key for the very token that brings it.
"""

import asyncio
import logging
import math
import time
from typing import NamedTuple

from todo_api.auth.jwks_client import FetchFailed, KeyServer
from todo_api.auth.public_keys import Key, Keys, find, read_set
from todo_api.auth.tokens import invalid
from todo_api.errors import Unavailable

MAX_WAITING = 200
"""How many requests may wait for a fetch at once: an anonymous client can make every one of its requests wait."""

_OUT_OF_REACH = "The keys of the token's issuer cannot be reached."
_log = logging.getLogger(__name__)


class Pace(NamedTuple):
    """How often keys are fetched and how long they hold, in seconds."""

    ttl: float = 300
    max_stale: float = 86400
    cooldown: float = 5
    retry: float = 30
    """Between attempts that nobody waits for, while they fail."""


class FixedKeys:
    """Keys that stay as long as the process."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self.generation = 0

    @property
    def known(self) -> bool:
        """Whether any key is known."""
        return bool(self._keys)

    def get(self, key_id: str | None, algorithm: str) -> Key | None:
        """The key, if there is one."""
        return find(self._keys, key_id, algorithm)

    async def fetch_for(self, key_id: str | None, algorithm: str) -> None:
        """Raises Unauthorized: there are no further keys."""
        raise invalid("key")

    async def renew(self) -> None:
        """Does nothing: there are no newer keys."""

    def start(self) -> None:
        """Does nothing."""

    async def close(self) -> None:
        """Does nothing."""


class KeySet:
    """The keys that a server publishes. For one event loop."""

    def __init__(self, server: KeyServer, algorithms: tuple[str, ...], pace: Pace) -> None:
        self._server = server
        self._algorithms = algorithms
        self._pace = pace
        self._keys: Keys = {}
        self._fetched = self._attempted = -math.inf
        """When the last fetch that succeeded, and the last of any, began."""

        self._failure: str | None = None
        """Why the last fetch failed; None if it did not."""

        self._running: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._waiting = 0
        self.generation = 0
        """Changes whenever a key holds no more."""

    @property
    def known(self) -> bool:
        """Whether any key is known."""
        return bool(self._keys)

    def get(self, key_id: str | None, algorithm: str) -> Key | None:
        """The key, if it is known. Never waits."""
        return find(self._keys, key_id, algorithm)

    async def fetch_for(self, key_id: str | None, algorithm: str) -> None:
        """Waits until the key is known. Raises Unauthorized if there is none, Unavailable where nobody can tell."""
        if self._waiting >= MAX_WAITING:
            raise self._unavailable()
        asked = time.monotonic()
        self._waiting += 1
        try:
            while self.get(key_id, algorithm) is None:
                if self._fetched > asked:
                    raise invalid("key")
                await self._attempt()
                if self._failure and self.get(key_id, algorithm) is None:
                    raise self._unavailable() from FetchFailed(self._failure)
        finally:
            self._waiting -= 1

    async def renew(self) -> None:
        """Waits for a fetch if one may begin now or has begun; else returns at once. Never raises for one that fails."""
        may_begin = self._running is None and self._cooldown_left() <= 0
        if (may_begin or self._is_fetching()) and self._waiting < MAX_WAITING:
            self._waiting += 1
            try:
                await self._attempt()
            except Unavailable:
                return
            finally:
                self._waiting -= 1

    def start(self) -> None:
        """Fetches the keys without anybody asking, now and from then on."""
        if self._running is None:
            self._running = asyncio.get_running_loop().create_task(self._fetch_after(self._cooldown_left()))

    async def close(self) -> None:
        """Ends what goes on in the background."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
        if self._timer is not None:
            self._timer.cancel()

    async def _attempt(self) -> None:
        """Waits for the fetch that goes on, or for the next one. Raises Unavailable at once if the last has just failed."""
        if self._running is None and self._failure and self._cooldown_left() > 0:
            raise self._unavailable() from FetchFailed(self._failure)
        self.start()
        assert self._running is not None  # noqa: S101  # started just now
        await asyncio.shield(self._running)

    async def _fetch_after(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        if self._timer is not None:
            self._timer.cancel()
        began = self._attempted = time.monotonic()
        next_in = min(self._pace.retry, self._pace.ttl)
        try:
            keys = read_set(await self._server.fetch(), self._algorithms, self._keys)
            next_in = self._pace.ttl
            self._take(keys, began)
        except (FetchFailed, ValueError) as error:
            self._fail(str(error))
        except Exception as error:
            self._fail(type(error).__name__)
            _log.exception("a fetch of the issuer's keys failed in a way that is not foreseen")
        finally:
            self._running = None
            self._timer = asyncio.get_running_loop().call_later(next_in, self.start)

    def _take(self, keys: Keys, began: float) -> None:
        if self._failure:
            _log.warning("The issuer's keys are within reach again.")
        if not keys:
            _log.warning("The issuer publishes no key for %s.", ", ".join(self._algorithms))
        self._failure = None
        self._fetched = began
        self._replace(keys)

    def _fail(self, why: str) -> None:
        if not self._failure:
            _log.warning("The issuer's keys are out of reach: %s. Known keys are used on.", why)
        self._failure = why
        if time.monotonic() - self._fetched > self._pace.max_stale:
            self._replace({})

    def _replace(self, keys: Keys) -> None:
        if any(keys.get(place) is not key for place, key in self._keys.items()):
            self.generation += 1
        self._keys = keys

    def _is_fetching(self) -> bool:
        return self._running is not None and self._attempted > self._fetched and not self._failure

    def _cooldown_left(self) -> float:
        return max(0.0, self._attempted + self._pace.cooldown - time.monotonic())

    def _unavailable(self) -> Unavailable:
        return Unavailable(_OUT_OF_REACH, retry_after=max(1, math.ceil(self._cooldown_left())))
