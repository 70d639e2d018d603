"""Throttle of password guesses: per account, per address, and by processor time.

It applies to operations with `x-password-attempt` in the contract: `sign-in` checks a password,
`register` makes an account, `reset` takes a one-time token, `mail` sends one. The account is that
of the token, else of the body's `email`. A one-time token names none, so only the address counts.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from time import perf_counter
from typing import NamedTuple

from connexion.operations import AbstractOperation
from connexion.spec import Specification
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from todo_api.errors import EmailTaken, InvalidCredentials, InvalidOneTimeToken, Unavailable, WrongPassword
from todo_api.http import ARGUMENTS, OperationMiddleware, RateLimited, definition
from todo_api.throttling.attempts import AttemptCounters, Backoff, CounterKey
from todo_api.throttling.client_address import ClientAddresses

ACCOUNT_BACKOFF = Backoff(free=5)
ADDRESS_BACKOFF = {"register": Backoff(free=50), **dict.fromkeys(("sign-in", "reset", "mail"), Backoff(free=20))}
"""Higher, since many people may share an address. Successful registrations count too."""

MAIL_BACKOFF = Backoff(free=3, longest=3600)
"""Of mails to one address: each counts, for whom there is no account as well."""

MAX_CONCURRENT = 2
"""Maximum number of concurrent password checks of a worker.

With one, a repeated request would wait for its original and not learn that it is in progress.
"""

MAX_WAITING = 16
"""Maximum number of requests that wait for a password check."""

WAIT_TIMEOUT = 2.0
"""Seconds for which they wait."""

REPLAYED = b"idempotency-replayed"
"""Header of a stored reply. An attempt answered with one neither succeeds nor fails."""

_DETAIL = "Too many attempts with a password. Retry-After says how many seconds to wait."
_TOO_MANY_MAILS = "Too many mails were asked for. Retry-After says how many seconds to wait."
_BUSY = "Too many sign-ins at this moment. Try again later."


class LoginAttempt(NamedTuple):
    """Counters of one attempt.

    All `keys` are incremented. On success `account` is reset, `refunded_on_success` refunded, and
    `pair` becomes known.
    """

    account: CounterKey | None
    keys: tuple[CounterKey, ...]
    refunded_on_success: tuple[CounterKey, ...]
    pair: str | None = None
    is_known: bool = False
    detail: str = _DETAIL


class LoginThrottle(OperationMiddleware):
    """Throttles password attempts. Stands directly inside validation.

    From an address that has signed in to the account before, attempts count for that pair only, so
    attacks from elsewhere do not lock the owner out. Unknown accounts count like all others.
    """

    def __init__(
        self, app: ASGIApp, *, attempts: AttemptCounters | None, addresses: ClientAddresses, verifies_email: bool
    ) -> None:
        """Limit concurrency, and without `attempts` nothing else.

        With `verifies_email`, registrations and changes of an e-mail address send mail.
        """
        super().__init__(app)
        self._verifies_email = verifies_email
        self._attempts = attempts
        self._addresses = addresses
        # Known logins do not queue behind the others.
        self._concurrency = {True: ConcurrencyLimit(), False: ConcurrencyLimit()}

    def make_operation(self, operation: AbstractOperation, specification: Specification, next_app: ASGIApp) -> ASGIApp:
        """Return the operation with its throttle, if it checks a password.

        It raises RateLimited after too many attempts, Unavailable during too many.
        """
        kind = definition(operation).get("x-password-attempt")
        if kind is None:
            return next_app

        async def throttled(scope: Scope, receive: Receive, send: Send) -> None:
            call = partial(_call, next_app, scope, receive)
            if self._attempts is None:
                async with self._concurrency[False].slot():
                    await call(send)
            else:
                attempt = await self._attempt(self._attempts, kind, scope)
                await self._call_counted(self._attempts, attempt, call, send)

        return throttled

    async def _attempt(self, attempts: AttemptCounters, kind: str, scope: Scope) -> LoginAttempt:
        address = self._addresses.client(scope)
        of_address = CounterKey(f"{kind} from {address}", ADDRESS_BACKOFF[kind])
        if kind == "reset":
            return LoginAttempt(None, (of_address,), (of_address,))
        user = scope["state"]["record"].subject
        body = scope["extensions"][ARGUMENTS].get("body") or {}
        email = f"e-mail {body.get('email', '').lower()}"
        account = f"user {user}" if user else email
        pair = f"{account} from {address}"
        mail = CounterKey(f"mail {email}", MAIL_BACKOFF)
        if kind == "register" and self._verifies_email:  # all alike: success says nothing of the address
            return LoginAttempt(None, (mail, of_address), (), detail=_TOO_MANY_MAILS)
        if kind == "mail":
            known = await attempts.is_known(pair)
            keys = (CounterKey(f"mail {pair}", MAIL_BACKOFF),) if known else (mail, of_address)
            return LoginAttempt(None, keys, (), detail=_TOO_MANY_MAILS)
        mails = (mail,) if self._verifies_email and user and "email" in body else ()  # a change of the address
        if kind == "sign-in" and await attempts.is_known(pair):
            key = CounterKey(pair, ACCOUNT_BACKOFF)
            return LoginAttempt(key, (key, *mails), (), pair, True)
        key = CounterKey(f"{kind} {account}", ACCOUNT_BACKOFF)
        refunded = (of_address,) if kind == "sign-in" else ()
        return LoginAttempt(key, (key, of_address, *mails), refunded, pair, False)

    async def _call_counted(
        self, attempts: AttemptCounters, attempt: LoginAttempt, call: Callable[[Send], Awaitable[None]], send: Send
    ) -> None:
        wait = await attempts.begin(attempt.keys)
        if wait:
            raise RateLimited(wait, attempt.detail)
        replayed = False

        async def send_watched(message: Message) -> None:
            nonlocal replayed
            if message["type"] == "http.response.start":
                replayed = any(name == REPLAYED for name, _ in message["headers"])
            await send(message)

        try:
            async with self._concurrency[attempt.is_known].slot():
                await call(send_watched)
        except (InvalidCredentials, InvalidOneTimeToken, EmailTaken, WrongPassword):
            raise
        except Exception:  # the password was not checked, or not wrong
            await attempts.refund(attempt.keys)
            raise
        if replayed:  # it proves nothing about this sender
            await attempts.refund(attempt.keys)
            return
        if attempt.account is not None:
            await attempts.forget(attempt.account)
        await attempts.refund(attempt.refunded_on_success)
        if attempt.pair is not None:
            await attempts.remember(attempt.pair)


async def _call(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    scope["state"]["record"].ready_at = perf_counter()  # waiting for a password check has its own limit
    await app(scope, receive, send)


class ConcurrencyLimit:
    """Limits concurrent password checks, so that most slots stay free for common requests."""

    def __init__(self) -> None:
        self._semaphore = asyncio.Semaphore(MAX_CONCURRENT)
        self._waiting = 0

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Wait for a slot. Raise Unavailable if that takes too long."""
        if self._waiting >= MAX_WAITING:
            raise Unavailable(_BUSY)
        self._waiting += 1
        try:
            async with asyncio.timeout(WAIT_TIMEOUT):
                await self._semaphore.acquire()
        except TimeoutError:
            raise Unavailable(_BUSY) from None
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._semaphore.release()
