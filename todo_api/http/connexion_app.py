"""How Connexion takes a contract: what it is held to, and how an operation finds its handler."""

from typing import Any

import jsonschema_rs
from connexion import FlaskApp
from connexion.exceptions import InvalidSpecification, ResolverError
from connexion.middleware.main import API
from connexion.operations import AbstractOperation
from connexion.resolver import Resolution, Resolver
from connexion.spec import OpenAPISpecification
from jsonschema_rs import ValidationError, ValidationErrorKind

from todo_api.contract import snake_case

_OPENAPI = jsonschema_rs.Draft4Validator(OpenAPISpecification.openapi_schema)


class TagResolver(Resolver):
    """Finds an operation's handler by its only tag and its operationId: `tasks`, `listTasks` is
    `tasks/handlers.py: list_tasks`. A missing handler stops the start."""

    def resolve_operation_id(self, operation: AbstractOperation) -> str:
        """The operationId as the contract has it; the contract names no Python."""
        return str(operation.operation_id)

    def resolve(self, operation: AbstractOperation) -> Resolution:
        """The handler of the operation; ResolverError where there is none."""
        operation_id = self.resolve_operation_id(operation)
        if not operation.operation_id or len(operation._operation.get("tags", [])) != 1:
            raise ResolverError("An operation needs an operationId and one tag.")
        (tag,) = operation._operation["tags"]
        function = self.resolve_function_from_operation_id(f"todo_api.{tag}.handlers.{snake_case(operation_id)}")  # type: ignore[no-untyped-call]  # Connexion's
        return Resolution(function, operation_id)


class InvalidContract(InvalidSpecification):
    """A contract that breaks the schema of OpenAPI, and where in the document it does."""

    def __init__(self, steps: list[str], message: str) -> None:
        super().__init__(f"{'/'.join(steps)}: {message}")
        self.steps = steps
        self.reason = message


class CompiledSpecification(OpenAPISpecification):
    """A contract, held to the same schema of OpenAPI 3.0 as Connexion holds it to, in a hundredth of the time, which is a third of the
    start. That its defaults fit their own schemas is left to the tests."""

    @classmethod
    def _validate_spec(cls, spec: dict[str, Any]) -> None:
        for error in _OPENAPI.iter_errors(spec):
            cause = _innermost(error)
            raise InvalidContract([str(step) for step in cause.instance_path], cause.message)


def _innermost(error: ValidationError) -> ValidationError:
    """Return what is wrong inside a `oneOf`, with the alternative that is no reference."""
    while isinstance(error.kind, ValidationErrorKind.OneOfNotValid | ValidationErrorKind.AnyOf):
        alternatives = [found[0] for found in error.kind.context if found]
        error = max(alternatives, key=lambda found: ('"$ref"' not in found.message, len(found.instance_path)))
    return error


class ContractApp(FlaskApp):
    """Connexion's application, of contracts that are held to OpenAPI's schema by a compiled validator."""

    def add_contract(self, document: dict[str, Any]) -> None:
        """As `add_api`, which takes no specification that is made already. Raises InvalidSpecification."""
        options = vars(self.middleware.options)
        specification = CompiledSpecification(document)  # type: ignore[no-untyped-call]  # Connexion's
        self.middleware.apis.append(API(specification, base_path=None, name=None, **options))
