"""Bearer authentication (RFC 6750), in the place that Connexion's security map has for it."""

from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from connexion.lifecycle import ConnexionRequest
from connexion.security import AbstractSecurityHandler

from todo_api.database import spawn
from todo_api.errors import Unauthorized
from todo_api.http.admission import ANONYMOUS, AdmissionControl
from todo_api.observability import Exchange, Spent

IDENTITY = "identity"
"""Where in what Connexion keeps of a token its identity is, and the argument under which a handler that wants it gets it."""


class Identified(Protocol):
    """What a token says of its holder."""

    @property
    def subject(self) -> str:
        """The user it speaks for."""

    @property
    def scopes(self) -> frozenset[str] | None:
        """All that it may do; None for everything."""


Verify = Callable[[str], Identified | Coroutine[Any, Any, Identified]]
"""The identity in a token, or what to await for it. Raises Unauthorized. Runs on the event loop: it must not block."""


class Lookups:
    """Tokens with a prefix that only the database knows, each looked up anew for each request: what has ended ends with the next."""

    def __init__(
        self,
        prefix: str,
        read: Callable[[str], str],
        find: Callable[[str], Identified],
        *,
        admission: AdmissionControl,
        spent: Spent,
    ) -> None:
        """`read` is what to look a token up by, at once; `find` is whom it speaks for, and may wait. Either raises Unauthorized.

        A look-up takes a slot as a stranger does, since the user is not known yet.
        """
        self._prefix = prefix
        self._read = read
        self._find = find
        self._spent = spent
        self._admission = admission

    def claims(self, token: str) -> bool:
        """Whether the token is one of these."""
        return token.startswith(self._prefix)

    async def identity(self, token: str, exchange: Exchange) -> Identified:
        """Whom the token speaks for. What `read` and `find` raise is raised here, and what they spend put down to the exchange."""
        key = self._read(token)
        await self._admission.acquire(ANONYMOUS, exchange.ready_at)
        try:
            return await spawn(self._look_up, key, exchange)
        finally:
            self._admission.release(ANONYMOUS)

    def _look_up(self, key: str, exchange: Exchange) -> Identified:
        try:
            return self._find(key)
        finally:
            exchange.spend(self._spent())


class BearerHandler(AbstractSecurityHandler):
    """Checks the one Authorization field of a request."""

    def __init__(self, verify: Verify, lookups: Lookups | None = None) -> None:
        self._verify = verify
        self._lookups = lookups

    def get_fn(self, security_scheme: dict[str, Any], required_scopes: list[str]) -> Callable[[ConnexionRequest], Any]:
        """The check of one operation. It gives Connexion the token's subject and identity."""
        return self._check

    def _check(self, request: ConnexionRequest) -> dict[str, Any] | Coroutine[Any, Any, dict[str, Any]]:
        fields = [value for name, value in request.scope["headers"] if name == b"authorization"]
        if not fields:
            raise Unauthorized
        scheme, _, token = fields[0].decode("latin-1").partition(" ")
        if len(fields) > 1 or scheme.lower() != "bearer" or not token:
            is_bearer = any(field[:6].lower() == b"bearer" for field in fields)  # else no error code: RFC 6750, 3.1
            raise Unauthorized("Send one Authorization field: Bearer, a space, the token.", token_sent=is_bearer)
        token = token.strip(" ")
        if self._lookups is not None and self._lookups.claims(token):
            return _awaited(request, self._lookups.identity(token, request.scope["state"]["exchange"]))
        identity = self._verify(token)
        return _awaited(request, identity) if isinstance(identity, Coroutine) else _identified(request, identity)


async def _awaited(request: ConnexionRequest, identity: Coroutine[Any, Any, Identified]) -> dict[str, Any]:
    return _identified(request, await identity)


def _identified(request: ConnexionRequest, identity: Identified) -> dict[str, Any]:
    request.scope["state"]["exchange"].subject = identity.subject
    return {"sub": identity.subject, IDENTITY: identity}
