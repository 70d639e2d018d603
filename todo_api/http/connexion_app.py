"""Connexion's application: validation of the contract, and the handler of each operation."""

from abc import abstractmethod
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
from connexion import FlaskApp
from connexion.exceptions import InvalidSpecification, ResolverError
from connexion.middleware.abstract import ROUTING_CONTEXT, SpecMiddleware
from connexion.middleware.main import API
from connexion.operations import AbstractOperation, OpenAPIOperation
from connexion.resolver import Resolution, Resolver
from connexion.spec import OpenAPISpecification, Specification
from jsonschema_rs import ValidationError, ValidationErrorKind
from starlette.types import ASGIApp, Receive, Scope, Send

from todo_api.admission import AdmissionControl
from todo_api.contract import load, operations, snake_case

_OPENAPI = jsonschema_rs.Draft4Validator(OpenAPISpecification.openapi_schema)


def definition(operation: AbstractOperation) -> dict[str, Any]:
    """Return the operation as the contract defines it, with its extensions."""
    found: dict[str, Any] = operation._operation  # noqa: SLF001  # Connexion has no public name for it
    return found


class TagResolver(Resolver):
    """Resolves `listTasks` of the tag `tasks` to `tasks/handlers.py: list_tasks`."""

    def resolve_operation_id(self, operation: AbstractOperation) -> str:
        """Return the operationId of the contract, which names no Python."""
        return str(operation.operation_id)

    def resolve(self, operation: AbstractOperation) -> Resolution:
        """Return the operation's handler. Raise ResolverError if there is none."""
        operation_id = self.resolve_operation_id(operation)
        if not operation.operation_id or len(definition(operation).get("tags", [])) != 1:
            raise ResolverError("An operation needs an operationId and one tag.")
        (tag,) = definition(operation)["tags"]
        function = self.resolve_function_from_operation_id(f"todo_api.{tag}.handlers.{snake_case(operation_id)}")  # type: ignore[no-untyped-call]  # Connexion's
        return Resolution(function, operation_id)


class InvalidContract(InvalidSpecification):
    """The contract violates the schema of OpenAPI at `steps`."""

    def __init__(self, steps: list[str], message: str) -> None:
        super().__init__(f"{'/'.join(steps)}: {message}")
        self.steps = steps
        self.reason = message


class CompiledSpecification(OpenAPISpecification):
    """A contract, validated against Connexion's schema of OpenAPI 3.0 by a compiled validator.

    Connexion's own takes a hundred times as long, a third of the start. Tests check the defaults.
    """

    @classmethod
    def _validate_spec(cls, spec: dict[str, Any]) -> None:
        for error in _OPENAPI.iter_errors(spec):
            cause = _innermost(error)
            raise InvalidContract([str(step) for step in cause.instance_path], cause.message)

    def get_operation(self, path: str, method: str) -> dict[str, Any]:
        """Return an operation with a list of parameters of its own, which Connexion extends."""
        found: dict[str, Any] = super().get_operation(path, method)  # type: ignore[no-untyped-call]  # Connexion's
        return found | {"parameters": [*found.get("parameters", [])]}


@cache
def specification(path: Path) -> CompiledSpecification:
    """Return a contract, made once: applications and workers share it. Raise InvalidContract."""
    return CompiledSpecification(load(path))  # type: ignore[no-untyped-call]  # Connexion's


def _innermost(error: ValidationError) -> ValidationError:
    """Return the error inside a `oneOf`, for the alternative that is no reference."""
    while isinstance(error.kind, ValidationErrorKind.OneOfNotValid | ValidationErrorKind.AnyOf):
        alternatives = [found[0] for found in error.kind.context if found]
        error = max(alternatives, key=lambda found: ('"$ref"' not in found.message, len(found.instance_path)))
    return error


def operation_of(specification: Specification, path: str, method: str, resolver: Resolver) -> AbstractOperation:
    """Return an operation of a contract, with its handler. Raise ResolverError if there is none."""
    operation: AbstractOperation = OpenAPIOperation.from_spec(
        specification, path=path, method=method, resolver=resolver
    )
    return operation


class OperationMiddleware(SpecMiddleware):
    """Calls what it made of the operation that routing found.

    Each joins its own to that of the middleware inside of it, at the start. So a request is looked
    up once, and passes only what concerns its operation.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.operations: dict[str, ASGIApp] = {}

    def add_api(self, specification: Specification, **options: Any) -> None:
        """Add the operations of a contract. Raise ValueError if there is one of the same name."""
        for path, method, _ in operations(specification):
            operation = operation_of(specification, path, method, options["resolver"])
            name = str(operation.operation_id)
            if name in self.operations:
                raise ValueError(f"Two operations have the same name: {name}")
            self.operations[name] = self.make_operation(operation, specification, self._next(name))

    def _next(self, name: str) -> ASGIApp:
        """Return what the middleware inside of this one made of the operation, before this one."""
        return self._app.operations[name] if isinstance(self._app, OperationMiddleware) else self._app

    @abstractmethod
    def make_operation(self, operation: AbstractOperation, specification: Specification, next_app: ASGIApp) -> ASGIApp:
        """Return what is called with the requests of an operation: `next_app` to leave it out."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request to its operation."""
        await self.operations[scope["extensions"][ROUTING_CONTEXT]["operation_id"]](scope, receive, send)


class ContractApp(FlaskApp):
    """Connexion's application, with the compiled validator for contracts."""

    admission: AdmissionControl
    known_subject: Callable[[str], str | None]
    """Returns the subject of a token that was verified before."""

    @property
    def specifications(self) -> list[Specification]:
        """The contracts."""
        return [api.specification for api in self.middleware.apis]

    def add_contract(self, path: Path) -> None:
        """Add a contract. `add_api` takes no specification object. Raise InvalidContract."""
        options = vars(self.middleware.options)
        self.middleware.apis.append(API(specification(path), base_path=None, name=None, **options))
