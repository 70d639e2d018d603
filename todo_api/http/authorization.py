"""Scopes: what a token may do beside saying who sends it. The contract says in `x-required-scope` what an operation needs: one
scope, or several between blanks, as in the challenge of RFC 6750, section 3.

It is an extension because OpenAPI 3.0 keeps the list of scopes in `security` empty for bearer tokens (Security Requirement Object).
"""

from typing import Any

from connexion.operations import AbstractOperation
from starlette.types import Scope

from todo_api.errors import InsufficientScope
from todo_api.http.authentication import IDENTITY, Identified


class RequiredScope:
    """What one operation asks of the token."""

    def __init__(self, operation: AbstractOperation) -> None:
        """Raise ValueError if an operation with security names no scope, or one without security names one."""
        self._scope: str | None = operation._operation.get("x-required-scope")
        if not isinstance(self._scope, str | None):
            raise ValueError(f"{operation.operation_id}: x-required-scope must be a text")
        if operation.security and not self._scope:
            raise ValueError(f"{operation.operation_id}: x-required-scope is missing, and security asks for a token")
        if self._scope and not operation.security:
            raise ValueError(f"{operation.operation_id}: x-required-scope needs security, and there is none")
        self._needed = frozenset((self._scope or "").split())

    def check(self, scope: Scope) -> None:
        """Raises InsufficientScope for a token that has scopes, and not all of these."""
        if self._scope is None:
            return
        context: dict[str, Any] = scope["extensions"]["connexion_context"]
        identity: Identified = context["token_info"][IDENTITY]
        if identity.scopes is not None and not self._needed <= identity.scopes:
            raise InsufficientScope(self._scope)
