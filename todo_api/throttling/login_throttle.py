"""Guessing of passwords, held off: by account, by address, and by what a processor can stand.

It holds for the operations that say `x-password-attempt` in their contract: `sign-in` where a password is checked, `register` where an
account is made. Whose account it is says the token, else the body's `email`.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import perf_counter
from typing import NamedTuple

from connexion.middleware.abstract import ROUTING_CONTEXT, SpecMiddleware
from connexion.spec import Specification
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from todo_api.errors import EmailTaken, InvalidCredentials, Unavailable, WrongPassword
from todo_api.http import ARGUMENTS, METHODS, RateLimited
from todo_api.throttling.attempts import Allowance, Attempts, Key
from todo_api.throttling.client_address import Addresses

OF_ACCOUNT = Allowance(free=5, longest=300)
OF_ADDRESS = {"sign-in": Allowance(free=20, longest=300), "register": Allowance(free=50, longest=300)}
"""More, since many people may share one. Of registrations those count that succeed, too."""

AT_ONCE = 2
"""How many check a password at once. With one, a request that is sent again would wait for itself and not learn that it runs."""

WAITING = 16
"""How many wait for their turn at most."""

PATIENCE = 2.0
"""Seconds that they wait."""

REPLAYED = b"idempotency-replayed"
"""The header of a reply that was kept: an attempt that is answered with one neither succeeds nor fails."""

_DETAIL = "Too many attempts with a password. Retry-After says how many seconds to wait."
_BUSY = "Too many are signing in at this moment."


class Guard(NamedTuple):
    """What one attempt is counted for: `keys`. After a success `account` of them begins anew, and `given_back` has one less."""

    account: Key
    keys: tuple[Key, ...]
    given_back: tuple[Key, ...]
    pair: str
    is_familiar: bool


class Guesses(SpecMiddleware):
    """Holds off. Stands right inside of validation.

    From an address that has signed in to the account before, attempts are counted for that pair alone: what others do elsewhere, or at
    other accounts, does not keep the owner out. Accounts that do not exist are counted like all others.
    """

    def __init__(self, app: ASGIApp, *, attempts: Attempts | None, addresses: Addresses) -> None:
        """Without `attempts` nothing is counted, and still not everybody hashes at once."""
        self._app = app
        self._attempts = attempts
        self._addresses = addresses
        self._kinds: dict[str, str] = {}
        self._turns = {True: Turns(), False: Turns()}  # those who are familiar do not stand in line with the others

    def add_api(self, specification: Specification, **_: object) -> None:
        """Learns which operations take a password."""
        for item in specification["paths"].values():
            for method in METHODS:
                if "x-password-attempt" in item.get(method, {}):
                    self._kinds[item[method]["operationId"]] = item[method]["x-password-attempt"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hands the request on. Raises RateLimited where there were too many attempts, and Unavailable where there are."""
        kind = self._kinds.get(scope["extensions"][ROUTING_CONTEXT]["operation_id"]) if self._kinds else None
        if kind is None:
            await self._app(scope, receive, send)
        elif self._attempts is None:
            async with self._turns[False].one():
                await self._go_on(scope, receive, send)
        else:
            await self._guarded(self._attempts, await self._guard(self._attempts, kind, scope), scope, receive, send)

    async def _guard(self, attempts: Attempts, kind: str, scope: Scope) -> Guard:
        user = scope["state"]["record"].subject
        account = f"user {user}" if user else f"e-mail {scope['extensions'][ARGUMENTS]['body']['email'].lower()}"
        address = self._addresses.of(scope)
        pair = f"{account} from {address}"
        if kind == "sign-in" and await attempts.is_familiar(pair):
            key = Key(pair, OF_ACCOUNT)
            return Guard(key, (key,), (), pair, True)
        key, of_address = Key(f"{kind} {account}", OF_ACCOUNT), Key(f"{kind} from {address}", OF_ADDRESS[kind])
        return Guard(key, (key, of_address), (of_address,) if kind == "sign-in" else (), pair, False)

    async def _guarded(self, attempts: Attempts, guard: Guard, scope: Scope, receive: Receive, send: Send) -> None:
        wait = await attempts.begin(guard.keys)
        if wait:
            raise RateLimited(wait, _DETAIL)
        replayed = False

        async def watched(message: Message) -> None:
            nonlocal replayed
            if message["type"] == "http.response.start":
                replayed = any(name == REPLAYED for name, _ in message["headers"])
            await send(message)

        try:
            async with self._turns[guard.is_familiar].one():
                await self._go_on(scope, receive, watched)
        except (InvalidCredentials, EmailTaken, WrongPassword):
            raise
        except Exception:  # no guess, whatever it was
            await attempts.give_back(guard.keys)
            raise
        if replayed:  # it says nothing of who sends it now
            await attempts.give_back(guard.keys)
            return
        await attempts.forget(guard.account)
        await attempts.give_back(guard.given_back)
        await attempts.learn(guard.pair)

    async def _go_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"]["record"].ready_at = perf_counter()  # this wait has a limit of its own
        await self._app(scope, receive, send)


class Turns:
    """Few at a time: of the handlers that may run at once, most are for the common requests."""

    def __init__(self) -> None:
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """Waits for its turn. Raises Unavailable where that would take too long."""
        if self._waiting >= WAITING:
            raise Unavailable(_BUSY)
        self._waiting += 1
        try:
            async with asyncio.timeout(PATIENCE):
                await self._turn.acquire()
        except TimeoutError:
            raise Unavailable(_BUSY) from None
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._turn.release()
