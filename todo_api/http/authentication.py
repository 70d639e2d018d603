"""Bearer authentication (RFC 6750), by Connexion's security and its map of handlers."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

from connexion.middleware.security import SecurityOperation
from connexion.operations import AbstractOperation
from connexion.security import AbstractSecurityHandler, SecurityHandlerFactory
from connexion.spec import Specification
from starlette.types import ASGIApp, Receive, Scope, Send

from todo_api.admission import ANONYMOUS, AdmissionControl, Reservation
from todo_api.auth import Identity
from todo_api.database import spawn, spent
from todo_api.errors import Unauthorized
from todo_api.http.connexion_app import OperationMiddleware
from todo_api.observability import RequestRecord

IDENTITY = "identity"
"""Key of the identity in Connexion's token info, and the handler argument that receives it."""


Verify = Callable[[str], Identity | Coroutine[Any, Any, Identity]]
"""Return the identity in a token, or a coroutine that does. Must not block. Raise Unauthorized."""


class TokenLookup:
    """Authenticates tokens with a prefix by a look-up on each request: revocation is immediate."""

    def __init__(
        self,
        prefix: str,
        read: Callable[[str], str],
        find: Callable[[str], Identity],
        *,
        admission: AdmissionControl,
    ) -> None:
        """`read` returns a token's lookup key at once; `find` returns its identity and may wait.

        Either raises Unauthorized. A look-up takes a slot as anonymous requests do.
        """
        self._prefix = prefix
        self._read = read
        self._find = find
        self._admission = admission

    def accepts(self, token: str) -> bool:
        """Return whether the token has the prefix."""
        return token.startswith(self._prefix)

    async def authenticate(self, token: str, state: dict[str, Any]) -> Identity:
        """Return the identity of the token and add the look-up's time to the record in `state`.

        The request keeps the slot of the look-up if it claims it at once.
        """
        key, record = self._read(token), state["record"]
        await self._admission.acquire(ANONYMOUS, record.ready_at, state.get("reservation"))
        reservation = state["reservation"] = Reservation(self._admission, ANONYMOUS)
        try:
            return await spawn(self._look_up, key, record)
        finally:
            asyncio.get_running_loop().call_soon(reservation.cancel)

    def _look_up(self, key: str, record: RequestRecord) -> Identity:
        try:
            return self._find(key)
        finally:
            record.add_db_time(spent())


def bearer_token(headers: list[tuple[bytes, bytes]]) -> str | None:
    """Return the token of the only Authorization field, None if there is no such token."""
    fields = [value for name, value in headers if name == b"authorization"]
    scheme, _, token = (fields[0] if len(fields) == 1 else b"").decode("latin-1").partition(" ")
    return token.strip(" ") if scheme.lower() == "bearer" else None


class SecurityRequest(NamedTuple):
    """A request as Connexion's security reads it. Connexion's own class takes 3 % of a get."""

    scope: Scope
    context: dict[str, Any]
    """Receives the result: `token_info` and `user`."""


class SecuredOperation(SecurityOperation):
    """An operation with Connexion's check of its security."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check the token and pass the request on. Raise Unauthorized."""
        context: dict[str, Any] = {}
        scope["extensions"]["connexion_context"] = context
        await self.verification_fn(SecurityRequest(scope, context))
        await self.next_app(scope, receive, send)


class Security(OperationMiddleware):
    """Checks the security of operations that have some."""

    def add_api(self, specification: Specification, **options: Any) -> None:
        """Add the operations of a contract, with the handlers of Connexion's `security_map`."""
        self._handlers = SecurityHandlerFactory(options["security_map"])
        super().add_api(specification, **options)

    def make_operation(self, operation: AbstractOperation, specification: Specification, next_app: ASGIApp) -> ASGIApp:
        """Return the operation with its check."""
        if not operation.security:
            return next_app
        return SecuredOperation.from_operation(operation, next_app=next_app, security_handler_factory=self._handlers)


class BearerHandler(AbstractSecurityHandler):
    """Verifies the Authorization field of a request."""

    def __init__(self, verify: Verify, lookups: TokenLookup | None = None) -> None:
        self._verify = verify
        self._lookups = lookups

    def get_fn(self, security_scheme: dict[str, Any], required_scopes: list[str]) -> Callable[[SecurityRequest], Any]:
        """Return the check of one operation. It returns the token's subject and identity."""
        return self._check

    def _check(self, request: SecurityRequest) -> dict[str, Any] | Coroutine[Any, Any, dict[str, Any]]:
        scope = request.scope
        fields = [value for name, value in scope["headers"] if name == b"authorization"]
        if not fields:
            raise Unauthorized
        scheme, _, token = fields[0].decode("latin-1").partition(" ")
        if len(fields) > 1 or scheme.lower() != "bearer" or not token:
            is_bearer = any(
                field[:6].lower() == b"bearer" for field in fields
            )  # else no error code (RFC 6750, section 3.1)
            raise Unauthorized("Send one Authorization field: Bearer, a space, the token.", token_sent=is_bearer)
        token = token.strip(" ")
        if self._lookups is not None and self._lookups.accepts(token):
            return _token_info_later(scope, self._lookups.authenticate(token, scope["state"]))
        identity = self._verify(token)
        return _token_info_later(scope, identity) if isinstance(identity, Coroutine) else _token_info(scope, identity)


async def _token_info_later(scope: Scope, identity: Coroutine[Any, Any, Identity]) -> dict[str, Any]:
    return _token_info(scope, await identity)


def _token_info(scope: Scope, identity: Identity) -> dict[str, Any]:
    scope["state"]["record"].subject = identity.subject
    return {"sub": identity.subject, IDENTITY: identity}
