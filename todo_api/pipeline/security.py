"""Bearer authentication (RFC 6750), in the place that Connexion's security map has for it."""

from collections.abc import Callable, Coroutine
from typing import Any

from connexion.lifecycle import ConnexionRequest
from connexion.security import AbstractSecurityHandler

from todo_api.errors import Unauthorized

Verify = Callable[[str], str | Coroutine[Any, Any, str]]
"""The subject of a token, or what to await for it. Raises Unauthorized. Runs on the event loop: it must not block."""


class BearerHandler(AbstractSecurityHandler):
    """Checks the one Authorization field of a request."""

    def __init__(self, verify: Verify) -> None:
        self._verify = verify

    def get_fn(self, security_scheme: dict[str, Any], required_scopes: list[str]) -> Callable[[ConnexionRequest], Any]:
        """The check of one operation. It gives Connexion the token's subject."""
        return self._check

    def _check(self, request: ConnexionRequest) -> dict[str, str] | Coroutine[Any, Any, dict[str, str]]:
        fields = [value for name, value in request.scope["headers"] if name == b"authorization"]
        if not fields:
            raise Unauthorized
        scheme, _, token = fields[0].decode("latin-1").partition(" ")
        if len(fields) > 1 or scheme.lower() != "bearer" or not token:
            raise Unauthorized("Send one Authorization field: Bearer, a space, the token.", token_sent=True)
        subject = self._verify(token.strip(" "))
        return _identified(request, subject) if isinstance(subject, str) else _awaited(request, subject)


async def _awaited(request: ConnexionRequest, subject: Coroutine[Any, Any, str]) -> dict[str, str]:
    return _identified(request, await subject)


def _identified(request: ConnexionRequest, subject: str) -> dict[str, str]:
    request.scope["state"]["exchange"].subject = subject
    return {"sub": subject}
