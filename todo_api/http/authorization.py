"""Authorization by scope: the contract's `x-required-scope` names what an operation needs.

Several scopes are separated by blanks, as in the challenge of RFC 6750, section 3. It is an
extension because OpenAPI 3.0 has no scopes for bearer tokens (Security Requirement Object).
"""

from typing import Any

from connexion.operations import AbstractOperation
from starlette.types import Scope

from todo_api.auth import Identity
from todo_api.errors import InsufficientScope
from todo_api.http.authentication import IDENTITY
from todo_api.http.connexion_app import definition


class RequiredScope:
    """The scopes that one operation requires."""

    def __init__(self, operation: AbstractOperation) -> None:
        """Raise ValueError if an operation has security without a scope, or the reverse."""
        self._scope: str | None = definition(operation).get("x-required-scope")
        if not isinstance(self._scope, str | None):
            raise ValueError(f"{operation.operation_id}: x-required-scope must be a text")
        if operation.security and not self._scope:
            raise ValueError(f"{operation.operation_id}: x-required-scope is missing, and security asks for a token")
        if self._scope and not operation.security:
            raise ValueError(f"{operation.operation_id}: x-required-scope needs security, and there is none")
        self._needed = frozenset((self._scope or "").split())

    def check(self, scope: Scope) -> None:
        """Raise InsufficientScope if the token has scopes, but not all of these."""
        if self._scope is None:
            return
        context: dict[str, Any] = scope["extensions"]["connexion_context"]
        identity: Identity = context["token_info"][IDENTITY]
        if identity.scopes is not None and not self._needed <= identity.scopes:
            raise InsufficientScope(self._scope)
