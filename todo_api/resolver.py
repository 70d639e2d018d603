"""How Connexion finds the handler of an operation."""

from connexion.operations import AbstractOperation
from connexion.resolver import Resolution, Resolver

from todo_api.contract import HANDLERS, snake_case


class TagResolver(Resolver):
    """Finds an operation's handler by its only tag and its operationId: `tasks`, `listTasks` is
    `handlers/tasks.py: list_tasks`. A missing handler stops the start."""

    def resolve_operation_id(self, operation: AbstractOperation) -> str:
        """The operationId as the contract has it; the contract names no Python."""
        return str(operation.operation_id)

    def resolve(self, operation: AbstractOperation) -> Resolution:
        """The handler of the operation; ResolverError where there is none."""
        operation_id = self.resolve_operation_id(operation)
        (tag,) = operation._operation["tags"]
        function = self.resolve_function_from_operation_id(f"{HANDLERS}.{tag}.{snake_case(operation_id)}")  # type: ignore[no-untyped-call]  # Connexion's
        return Resolution(function, operation_id)
