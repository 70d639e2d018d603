"""The contracts: where they are, what they say, and how an operation finds its handler."""

import re
from pathlib import Path
from typing import Any

import yaml
from connexion.operations import AbstractOperation
from connexion.resolver import Resolution, Resolver

HANDLERS = "todo_api.handlers"

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # seven times as fast, where libyaml is there


def shipped(folder: str) -> Path:
    """A folder that stands at the top of the checkout and inside the installed package: `openapi` or `migrations`."""
    package = Path(__file__).parent
    inside = package / folder
    return inside if inside.is_dir() else package.parent / folder


TASK_API = shipped("openapi") / "task-api.yaml"
OPS_API = shipped("openapi") / "ops-api.yaml"


def load(path: Path) -> dict[str, Any]:
    """The contract as written: with its `$ref`s, and never run through a template engine."""
    document: dict[str, Any] = yaml.load(path.read_text(encoding="utf-8"), Loader=_LOADER)  # noqa: S506  # both are the safe one
    return document


def resolve(document: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """What a part of a contract stands for, where it is a `$ref`."""
    while "$ref" in part:
        target: Any = document
        for step in part["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        part = target
    return part


def snake_case(name: str) -> str:
    """`listTasks` as `list_tasks`."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


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
