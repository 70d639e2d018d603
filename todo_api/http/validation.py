"""Validation: the contract's rules on the token's scope, and on path, query, headers and body, compiled at start. A handler never
sees a request that breaks one of them."""

import inspect
from time import perf_counter
from typing import Any

from connexion.middleware.abstract import RoutedAPI, RoutedMiddleware
from connexion.operations import AbstractOperation
from connexion.spec import Specification
from starlette.types import ASGIApp, Receive, Scope, Send

from todo_api.contract import Parameters
from todo_api.errors import ValidationFailed, Violation
from todo_api.http.authentication import IDENTITY
from todo_api.http.authorization import RequiredScope
from todo_api.http.body import Body
from todo_api.http.deprecation import App, announced

ARGUMENTS = "task_api_arguments"
"""Where in the scope's extensions the arguments of the handler are."""


class ValidatedOperation:
    """One operation with its scope, its parameters and its body."""

    def __init__(self, next_app: ASGIApp, operation: AbstractOperation, body_timeout: float) -> None:
        self._next_app = next_app
        self._required_scope = RequiredScope(operation)
        self._parameters = Parameters(operation.parameters)
        definition = operation.request_body
        also = operation._operation.get("x-accept-patch", [])
        is_patch = operation.method.lower() == "patch"
        self._body = Body(definition, also, body_timeout, is_patch=is_patch) if definition else None
        _check_signature(operation, self._parameters.arguments | ({"body"} if definition else set()))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hands the request on with the arguments of its handler.

        Raises InsufficientScope, and ValidationFailed with every violation.
        """
        self._required_scope.check(scope)
        arguments: dict[str, Any] = {}
        violations: list[Violation] = []
        self._parameters.read(scope, arguments, violations)
        if self._body is not None:
            arguments["body"] = await self._body.read(scope, receive, violations)
            scope["state"]["exchange"].ready_at = perf_counter()  # a slow sender has not waited for a slot
        if violations:
            raise ValidationFailed(violations)
        scope["extensions"][ARGUMENTS] = arguments
        await self._next_app(scope, receive, send)


def _check_signature(operation: AbstractOperation, offered: set[str]) -> None:
    """Raises TypeError where the handler of an operation does not take what the contract hands it."""
    if operation.security:
        offered |= {IDENTITY}
    taken = set(inspect.signature(operation.function).parameters)
    if taken | ({IDENTITY} & offered) != offered:
        raise TypeError(
            f"{operation.operation_id}: the contract hands the handler {sorted(offered)}, and it takes {sorted(taken)}"
        )


class ValidationAPI(RoutedAPI[App]):
    """The operations of one contract."""

    def __init__(self, *args: Any, body_timeout: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._body_timeout = body_timeout
        self.add_paths()

    def make_operation(self, operation: AbstractOperation) -> App:
        """The operation, compiled."""
        return announced(ValidatedOperation(self.next_app, operation, self._body_timeout), operation._operation)


class Validation(RoutedMiddleware[ValidationAPI]):
    """Takes the place of Connexion's RequestValidationMiddleware, which builds its validators anew for each request."""

    def __init__(self, app: ASGIApp, *, body_timeout: float = 30) -> None:
        """A body has so many seconds to arrive."""
        super().__init__(app)
        self._body_timeout = body_timeout

    def add_api(self, specification: Specification, **kwargs: Any) -> ValidationAPI:
        """Compiles the operations of a contract."""
        api = ValidationAPI(specification, next_app=self.app, body_timeout=self._body_timeout, **kwargs)
        self.apis[api.base_path].append(api)
        return api
