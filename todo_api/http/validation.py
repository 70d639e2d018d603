"""Validation by the contract, compiled at the start: scope, path, query, headers and body."""

import inspect
from time import perf_counter
from typing import Any

from connexion.operations import AbstractOperation
from connexion.spec import Specification
from starlette.types import ASGIApp, Receive, Scope, Send

from todo_api.contract import DRY_RUN, Parameters, first_item
from todo_api.errors import ValidationFailed, Violation
from todo_api.http.authentication import IDENTITY
from todo_api.http.authorization import RequiredScope
from todo_api.http.body import Body
from todo_api.http.connexion_app import OperationMiddleware, definition
from todo_api.http.deprecation import App, announce_deprecation

ARGUMENTS = "task_api_arguments"
"""Key of the handler's arguments in the scope's extensions."""


class ValidatedOperation:
    """An operation with its required scope, parameters and body."""

    def __init__(self, next_app: ASGIApp, operation: AbstractOperation) -> None:
        self._next_app = next_app
        self._required_scope = RequiredScope(operation)
        self._parameters = Parameters(operation.parameters)
        self._may_be_dry_run = DRY_RUN in self._parameters.arguments
        body = operation.request_body
        also = definition(operation).get("x-accept-patch", [])
        is_patch = operation.method.lower() == "patch"
        self._body = Body(body, also, is_patch=is_patch) if body else None
        _check_signature(operation, self._parameters.arguments | ({"body"} if body else set()))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the arguments on. Raise InsufficientScope or ValidationFailed."""
        self._required_scope.check(scope)
        arguments: dict[str, Any] = {}
        violations: list[Violation] = []
        self._parameters.read(scope, arguments, violations)
        if self._may_be_dry_run and arguments.get(DRY_RUN):
            scope["state"]["record"].dry_run = True
            scope["state"]["headers"].append((b"dry-run", b"true"))
        if self._body is not None:
            arguments["body"] = await self._body.read(scope, receive, violations)
            if "read_at" not in scope["state"]:  # the body has arrived after the head
                scope["state"]["record"].ready_at = perf_counter()  # the body's arrival is not waiting time
        if violations:
            raise ValidationFailed(violations, first_item(violations, self._body.operations if self._body else None))
        scope["extensions"][ARGUMENTS] = arguments
        await self._next_app(scope, receive, send)


def _check_signature(operation: AbstractOperation, offered: set[str]) -> None:
    """Raise TypeError if the handler's parameters differ from what the contract passes.

    `**filters` takes the query parameters that the handler does not name.
    """
    if operation.security:
        offered |= {IDENTITY}
    parameters = inspect.signature(operation.function).parameters
    rest = {name for name, parameter in parameters.items() if parameter.kind is inspect.Parameter.VAR_KEYWORD}
    taken = set(parameters) - rest
    if not (taken <= offered if rest else taken | ({IDENTITY} & offered) == offered):
        raise TypeError(
            f"{operation.operation_id}: the contract passes {sorted(offered)}, but the handler takes {sorted(taken)}"
        )


class Validation(OperationMiddleware):
    """Validates requests. Connexion's own middleware builds its validators per request."""

    def make_operation(self, operation: AbstractOperation, specification: Specification, next_app: ASGIApp) -> App:
        """Return the compiled operation."""
        return announce_deprecation(ValidatedOperation(next_app, operation), definition(operation))
