"""Bearer authentication (RFC 6750), by Connexion's security map."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from connexion.lifecycle import ConnexionRequest
from connexion.security import AbstractSecurityHandler
from starlette.types import Scope

from todo_api.admission import ANONYMOUS, AdmissionControl, Reservation
from todo_api.auth import Identity
from todo_api.database import spawn, spent
from todo_api.errors import Unauthorized
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


class BearerHandler(AbstractSecurityHandler):
    """Verifies the Authorization field of a request."""

    def __init__(self, verify: Verify, lookups: TokenLookup | None = None) -> None:
        self._verify = verify
        self._lookups = lookups

    def get_fn(self, security_scheme: dict[str, Any], required_scopes: list[str]) -> Callable[[ConnexionRequest], Any]:
        """Return the check of one operation. It returns the token's subject and identity."""
        return self._check

    def _check(self, request: ConnexionRequest) -> dict[str, Any] | Coroutine[Any, Any, dict[str, Any]]:
        scope = request.scope  # looked up once: the request hands it on from another
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
