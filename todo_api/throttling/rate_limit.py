"""Rate limits per user, or per address without one (draft-ietf-httpapi-ratelimit-headers-10)."""

import asyncio
from time import time
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from connexion.middleware.abstract import SpecMiddleware
from connexion.operations import AbstractOperation
from connexion.spec import Specification
from starlette.types import ASGIApp, Receive, Scope, Send

from todo_api.errors import Overloaded, TaskApiError, Unavailable
from todo_api.http import ARGUMENTS, OperationMiddleware, RateLimited
from todo_api.observability import RequestRecord
from todo_api.throttling.client_address import ClientAddresses
from todo_api.throttling.counters import MAX_KEYS, Count, LocalCounters

if TYPE_CHECKING:  # needed only with Redis
    from todo_api.throttling.redis import RedisCounters


class Rate(NamedTuple):
    """`requests` per `seconds`."""

    requests: int
    seconds: int


PAGES = Rate(600, 60)
"""Rate of published pages per address, counted apart from other requests."""

REFUSAL_DELAY = 0.1
"""Seconds before a refusal: the wait paces clients that retry at once."""


class RateLimiter:
    """Counts requests against a rate."""

    def __init__(
        self, rate: Rate, addresses: ClientAddresses, shared: "RedisCounters | None" = None, *, of_pages: bool = False
    ) -> None:
        """Count in `shared` if it is given, else in this process."""
        self._requests, self._seconds = rate
        self._local = LocalCounters()
        self._shared = shared
        self._addresses = addresses
        self._of_pages = of_pages
        self._exceeded: dict[str, int] = {}
        """Keys of addresses that used up their limit, and when it resets, in seconds since 1970."""
        self._name = b"pages" if of_pages else b"default"
        self._policy = (b"ratelimit-policy", b'"%b";q=%d;w=%d' % (self._name, *rate))

    async def check(self, scope: Scope) -> None:
        """Raise RateLimited if the request has no token and its address is over its limit.

        Count nothing.
        """
        if self._exceeded and not any(name == b"authorization" for name, _ in scope["headers"]):
            await self._check(self._key(scope), scope)

    async def count(self, scope: Scope) -> None:
        """Count a request for its user or address, and add the rate limit's headers to its reply.

        Raise RateLimited if the limit is exceeded.
        """
        state = scope["state"]
        state["counted"] = True
        record: RequestRecord = state["record"]
        key = f"user {record.subject}" if record.subject is not None else self._key(scope)
        if self._exceeded:
            await self._check(key, scope)
        number, seconds_left = await self._increment(key, 1)
        remaining = self._requests - number
        if remaining <= 0 and record.subject is None:
            self._note_exceeded(key, seconds_left)
        if remaining < 0:
            await self._refuse(scope, seconds_left)
        if not self._of_pages:  # pages are cached, so their headers do not vary
            self._add_headers(scope, remaining, seconds_left)

    async def count_operations(self, scope: Scope, further: int) -> None:
        """Count further operations of a request that was counted, and correct the headers.

        Raise RateLimited if the limit does not admit all of them, and count none of them then.
        """
        key = f"user {scope['state']['record'].subject}"
        number, seconds_left = await self._increment(key, further)
        scope["state"]["headers"][:] = [
            field for field in scope["state"]["headers"] if not field[0].startswith(b"ratelimit")
        ]
        if number > self._requests:
            await self._increment(key, -further)
            await self._refuse(scope, seconds_left, max(self._requests - number + further, 0))
        self._add_headers(scope, self._requests - number, seconds_left)

    async def _increment(self, key: str, by: int) -> Count:
        if self._shared is None:
            return self._local.increment(key, self._seconds, by=by)
        return await self._shared.increment(key, self._seconds, by)

    def _key(self, scope: Scope) -> str:
        return f"{'pages ' if self._of_pages else ''}from {self._addresses.client(scope)}"

    def _note_exceeded(self, key: str, seconds_left: int) -> None:
        if len(self._exceeded) >= MAX_KEYS:
            self._exceeded.clear()  # those still over their limit return with their next request
        self._exceeded[key] = int(time()) + seconds_left

    async def _check(self, key: str, scope: Scope) -> None:
        until = self._exceeded.get(key)
        if until is None:
            return
        seconds_left = until - int(time())
        if seconds_left <= 0:
            del self._exceeded[key]
            return
        await self._refuse(scope, seconds_left)

    async def _refuse(self, scope: Scope, seconds_left: int, remaining: int = 0) -> NoReturn:
        self._add_headers(scope, remaining, seconds_left)
        await asyncio.sleep(REFUSAL_DELAY)
        raise RateLimited(seconds_left)

    def _add_headers(self, scope: Scope, remaining: int, seconds_left: int) -> None:
        fields = (self._policy, (b"ratelimit", b'"%b";r=%d;t=%d' % (self._name, remaining, seconds_left)))
        scope["state"]["headers"] += fields


class RateLimitMiddleware(OperationMiddleware):
    """Counts accepted requests. Stands directly inside authentication, which sets the user."""

    def __init__(self, app: ASGIApp, *, limit: RateLimiter) -> None:
        super().__init__(app)
        self._limit = limit

    def make_operation(self, operation: AbstractOperation, specification: Specification, next_app: ASGIApp) -> ASGIApp:
        """Return the operation with its limit. Contracts with `x-rate-limit: false` have none."""
        if specification.get("x-rate-limit") is False:
            return next_app

        async def counted(scope: Scope, receive: Receive, send: Send) -> None:
            await self._limit.count(scope)
            await next_app(scope, receive, send)

        return counted


class OperationsRateLimit(OperationMiddleware):
    """Counts a batch as its number of operations. Stands directly inside validation.

    `x-operations` of a body names the list of its operations.
    """

    def __init__(self, app: ASGIApp, *, limit: RateLimiter) -> None:
        super().__init__(app)
        self._limit = limit

    def make_operation(self, operation: AbstractOperation, specification: Specification, next_app: ASGIApp) -> ASGIApp:
        """Return the operation with its count, if it has several in its body."""
        name = operation.request_body.get("x-operations")
        if name is None:
            return next_app

        async def counted(scope: Scope, receive: Receive, send: Send) -> None:
            further = len(scope["extensions"][ARGUMENTS]["body"][name]) - 1
            if further > 0:
                await self._limit.count_operations(scope, further)
            await next_app(scope, receive, send)

        return counted


class UnauthenticatedRateLimit(SpecMiddleware):
    """Counts refused requests, such as unknown paths and invalid tokens, for their address.

    Refuses an address over its limit before anything else. Stands directly outside routing.
    """

    def __init__(self, app: ASGIApp, *, limit: RateLimiter) -> None:
        self._app = app
        self._limit = limit
        self._exempt: set[bytes] = set()

    def add_api(self, specification: Specification, **_: object) -> None:
        """Register the paths of contracts with `x-rate-limit: false`, which have no limit."""
        if specification.get("x-rate-limit") is False:
            self._exempt |= {f"{specification.base_path}{path}".encode() for path in specification["paths"]}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on.

        Raise RateLimited instead of a refusal once the limit is exceeded.
        """
        if scope["raw_path"] in self._exempt:
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
