"""Bearer authentication (RFC 6750), in the place that Connexion's security map has for it."""

from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from connexion.lifecycle import ConnexionRequest
from connexion.security import AbstractSecurityHandler

from todo_api.errors import Unauthorized

IDENTITY = "identity"
"""Where in what Connexion keeps of a token its identity is, and the argument under which a handler that wants it gets it."""


class Identified(Protocol):
    """What a token says of its holder."""

    @property
    def subject(self) -> str:
        """The user it speaks for."""


Verify = Callable[[str], Identified | Coroutine[Any, Any, Identified]]
"""The identity in a token, or what to await for it. Raises Unauthorized. Runs on the event loop: it must not block."""


class BearerHandler(AbstractSecurityHandler):
    """Checks the one Authorization field of a request."""

    def __init__(self, verify: Verify) -> None:
        self._verify = verify

    def get_fn(self, security_scheme: dict[str, Any], required_scopes: list[str]) -> Callable[[ConnexionRequest], Any]:
        """The check of one operation. It gives Connexion the token's subject and identity."""
        return self._check

    def _check(self, request: ConnexionRequest) -> dict[str, Any] | Coroutine[Any, Any, dict[str, Any]]:
        fields = [value for name, value in request.scope["headers"] if name == b"authorization"]
        if not fields:
            raise Unauthorized
        scheme, _, token = fields[0].decode("latin-1").partition(" ")
        if len(fields) > 1 or scheme.lower() != "bearer" or not token:
            raise Unauthorized("Send one Authorization field: Bearer, a space, the token.", token_sent=True)
        identity = self._verify(token.strip(" "))
        return _awaited(request, identity) if isinstance(identity, Coroutine) else _identified(request, identity)


async def _awaited(request: ConnexionRequest, identity: Coroutine[Any, Any, Identified]) -> dict[str, Any]:
    return _identified(request, await identity)


def _identified(request: ConnexionRequest, identity: Identified) -> dict[str, Any]:
    request.scope["state"]["exchange"].subject = identity.subject
    return {"sub": identity.subject, IDENTITY: identity}
