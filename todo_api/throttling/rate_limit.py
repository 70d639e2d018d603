"""How often a user, or an address without one, may ask: 429 beyond that, and on every reply how much is left
(draft-ietf-httpapi-ratelimit-headers-10)."""

import asyncio
from time import time
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from connexion.middleware.abstract import ROUTING_CONTEXT, SpecMiddleware
from connexion.spec import Specification
from starlette.types import ASGIApp, Receive, Scope, Send

from todo_api.errors import TaskApiError, Unavailable
from todo_api.http import Overloaded, RateLimited
from todo_api.observability import RequestRecord
from todo_api.throttling.client_address import Addresses
from todo_api.throttling.counters import MOST_KEYS, Memory

if TYPE_CHECKING:  # needed only where there is a Redis
    from todo_api.throttling.redis import Shared


class Rate(NamedTuple):
    """So many requests in so many seconds."""

    requests: int
    seconds: int


PAGES = Rate(600, 60)
"""Of published pages, for each address: counted apart, so that nobody loses them for what others at the address ask for."""


PAUSE = 0.1
"""Seconds before a refusal: the wait is what paces clients that retry at once."""


class Limit:
    """The limit of one deployment, or that of pages."""

    def __init__(
        self, rate: Rate, addresses: Addresses, shared: "Shared | None" = None, *, of_pages: bool = False
    ) -> None:
        """Counts in `shared` where that is given, else in this process."""
        self._requests, self._seconds = rate
        self._memory = Memory()
        self._shared = shared
        self._addresses = addresses
        self._of_pages = of_pages
        self._exceeded: dict[str, int] = {}
        """Until when, in seconds since 1970, addresses have used their limit up."""
        self._name = b"pages" if of_pages else b"default"
        self._policy = (b"ratelimit-policy", b'"%b";q=%d;w=%d' % (self._name, *rate))

    async def check(self, scope: Scope) -> None:
        """Raise RateLimited for a request without a token from an address that has used its limit up. Count nothing."""
        if self._exceeded and not any(name == b"authorization" for name, _ in scope["headers"]):
            await self._check(self._key(scope), scope)

    async def count(self, scope: Scope) -> None:
        """Counts a request for its user, or for its address where it has none, and has its reply say what is left.

        Raises RateLimited where nothing is.
        """
        state = scope["state"]
        state["counted"] = True
        record: RequestRecord = state["record"]
        key = f"user {record.subject}" if record.subject is not None else self._key(scope)
        await self._check(key, scope)
        if self._shared is None:
            number, left = self._memory.hit(key, self._seconds)
        else:
            number, left = await self._shared.hit(key, self._seconds)
        remaining = self._requests - number
        if remaining <= 0 and record.subject is None:
            self._exceed(key, left)
        if remaining < 0:
            await self._refuse(scope, left)
        if not self._of_pages:  # a page is the same whoever asks for it, and how often
            self._tell(scope, remaining, left)

    def _key(self, scope: Scope) -> str:
        return f"{'pages ' if self._of_pages else ''}from {self._addresses.of(scope)}"

    def _exceed(self, address: str, left: int) -> None:
        if len(self._exceeded) >= MOST_KEYS:
            self._exceeded.clear()  # those who go on are here again with their next request
        self._exceeded[address] = int(time()) + left

    async def _check(self, key: str, scope: Scope) -> None:
        until = self._exceeded.get(key)
        if until is None:
            return
        left = until - int(time())
        if left <= 0:
            del self._exceeded[key]
            return
        await self._refuse(scope, left)

    async def _refuse(self, scope: Scope, left: int) -> NoReturn:
        self._tell(scope, 0, left)
        await asyncio.sleep(PAUSE)
        raise RateLimited(left)

    def _tell(self, scope: Scope, remaining: int, left: int) -> None:
        fields = (self._policy, (b"ratelimit", b'"%b";r=%d;t=%d' % (self._name, remaining, left)))
        scope["state"]["headers"] += fields


class RateLimits(SpecMiddleware):
    """Counts what is let in, before anything is done for it. Stands right inside of security, which knows the user."""

    def __init__(self, app: ASGIApp, *, limit: Limit) -> None:
        self._app = app
        self._limit = limit
        self._without: set[str] = set()

    def add_api(self, specification: Specification, *, base_path: str | None = None, **_: object) -> None:
        """Learns which contracts have no limit: those that say `x-rate-limit: false`."""
        if specification.get("x-rate-limit") is False:
            self._without.add(specification.base_path if base_path is None else base_path)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hands the request on, or raises RateLimited."""
        if scope["type"] == "http" and scope["extensions"][ROUTING_CONTEXT]["api_base_path"] not in self._without:
            await self._limit.count(scope)
        await self._app(scope, receive, send)


class AddressLimits(SpecMiddleware):
    """Refuses an address that has used its limit up before anything else is done, and counts what comes to nothing for it: paths
    and methods that are not there, tokens that do not hold. Stands right outside of routing."""

    def __init__(self, app: ASGIApp, *, limit: Limit) -> None:
        self._app = app
        self._limit = limit
        self._without: set[bytes] = set()

    def add_api(self, specification: Specification, *, base_path: str | None = None, **_: object) -> None:
        """Learns which paths have no limit: those of contracts that say `x-rate-limit: false`."""
        if specification.get("x-rate-limit") is False:
            base = specification.base_path if base_path is None else base_path
            self._without |= {f"{base}{path}".encode() for path in specification["paths"]}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hands the request on. Raises RateLimited in place of a refusal, once there were too many."""
        if scope["type"] != "http" or scope["raw_path"] in self._without:
            await self._app(scope, receive, send)
            return
        await self._limit.check(scope)
        try:
            await self._app(scope, receive, send)
        except (Overloaded, Unavailable):
            raise  # not the caller's fault
        except TaskApiError:
            if "counted" not in scope["state"]:
                await self._limit.count(scope)
            raise
