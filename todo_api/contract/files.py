"""The contracts: where they are, what they say, and what an operation's handler is called."""

import re
from functools import cache
from pathlib import Path
from typing import Any

import orjson


def shipped(folder: str) -> Path:
    """A folder that stands at the top of the checkout and inside the installed package: `openapi` or `migrations`."""
    package = Path(__file__).parents[1]
    inside = package / folder
    return inside if inside.is_dir() else package.parent / folder


TASK_API = shipped("openapi") / "task-api.yaml"
OPS_API = shipped("openapi") / "ops-api.yaml"


def load(path: Path) -> dict[str, Any]:
    """The contract as written: with its `$ref`s, and never run through a template engine. It is the caller's own."""
    document: dict[str, Any] = orjson.loads(as_json(path))
    return document


@cache
def as_json(path: Path) -> bytes:
    """The contract in JSON. Read once by a process, and so before the workers are forked from it."""
    import yaml  # noqa: PLC0415  # not for a command that needs no contract

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # seven times as fast, where libyaml is there
    return orjson.dumps(yaml.load(path.read_text(encoding="utf-8"), Loader=loader))  # noqa: S506  # both are the safe one


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
