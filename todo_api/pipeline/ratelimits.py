"""How often a user, or an address without one, may ask: 429 beyond that, and on every reply how much is left
(draft-ietf-httpapi-ratelimit-headers-10)."""

from typing import TYPE_CHECKING, NamedTuple

from connexion.middleware.abstract import ROUTING_CONTEXT, SpecMiddleware
from connexion.spec import Specification
from starlette.types import ASGIApp, Receive, Scope, Send

from todo_api.errors import TaskApiError
from todo_api.pipeline.addresses import Addresses
from todo_api.pipeline.counters import Memory
from todo_api.pipeline.exchange import Exchange
from todo_api.pipeline.rejections import RateLimited

if TYPE_CHECKING:  # needed only where there is a Redis
    from todo_api.pipeline.shared_counters import Shared


class Rate(NamedTuple):
    """So many requests in so many seconds."""

    requests: int
    seconds: int


class Limit:
    """The limit of one deployment."""

    def __init__(self, rate: Rate, addresses: Addresses, shared: "Shared | None" = None) -> None:
        """Counts in `shared` where that is given, else in this process."""
        self._requests, self._seconds = rate
        self._memory = Memory()
        self._shared = shared
        self._addresses = addresses
        self._policy = (b"ratelimit-policy", b'"default";q=%d;w=%d' % rate)

    async def count(self, scope: Scope) -> None:
        """Counts a request for its user, or for its address where it has none, and has its reply say what is left.

        Raises RateLimited where nothing is.
        """
        state = scope["state"]
        state["counted"] = True
        exchange: Exchange = state["exchange"]
        key = f"user {exchange.subject}" if exchange.subject is not None else f"from {self._addresses.of(scope)}"
        if self._shared is None:
            number, left = self._memory.hit(key, self._seconds)
        else:
            number, left = await self._shared.hit(key, self._seconds)
        remaining = self._requests - number
        state["headers"] += (self._policy, (b"ratelimit", b'"default";r=%d;t=%d' % (max(0, remaining), left)))
        if remaining < 0:
            raise RateLimited(left)


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


class RefusedLimits:
    """Counts what security refuses, by address. Stands right outside of it."""

    def __init__(self, app: ASGIApp, *, limit: Limit) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hands the request on. Raises RateLimited in place of a refusal, once there were too many."""
        try:
            await self._app(scope, receive, send)
        except TaskApiError:
            if "counted" not in scope["state"]:
                await self._limit.count(scope)
            raise
