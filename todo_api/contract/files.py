"""The contracts: where they are, what they say, and what an operation's handler is called."""

import re
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from todo_api.contract.errors import ContractError


def shipped(folder: str) -> Path:
    """A folder that stands at the top of the checkout and inside the installed package: `openapi` or `migrations`."""
    package = Path(__file__).parents[1]
    inside = package / folder
    return inside if inside.is_dir() else package.parent / folder


TASK_API = shipped("openapi") / "task-api.yaml"
OPS_API = shipped("openapi") / "ops-api.yaml"
PROBLEMS = shipped("openapi") / "problems.yaml"


class ProblemText(NamedTuple):
    """What `problems.yaml` says about one problem code, for people."""

    status: int
    title: str
    when: str
    happened: str
    do: str


def load(path: Path) -> dict[str, Any]:
    """Return the contract with this root file, bundled: with its `$ref`s, never run through a template engine. It is the caller's own."""
    document: dict[str, Any] = orjson.loads(as_json(path))
    return document


@cache
def as_json(path: Path) -> bytes:
    """Return the bundled contract in JSON. Read once by a process, and so before the workers are forked from it."""
    from todo_api.contract.bundling import bundle  # noqa: PLC0415  # YAML is not for a command that needs no contract

    return orjson.dumps(bundle(path))


def as_yaml(path: Path) -> bytes:
    """Return the bundled contract in YAML, the same bytes each time."""
    from todo_api.contract.bundling import to_yaml  # noqa: PLC0415  # as above

    return to_yaml(load(path))


def place(path: Path, *steps: str) -> str:
    """Return file and line of a part of the bundled document, or of the nearest part around it that is written."""
    from todo_api.contract import bundling  # noqa: PLC0415  # as above

    return bundling.place(path, *steps)


@cache
def problem_texts() -> dict[str, ProblemText]:
    """Return what `problems.yaml` says, by code. Raise ContractError."""
    from todo_api.contract.bundling import read  # noqa: PLC0415  # as above

    found = {}
    for code, texts in read(PROBLEMS).items():
        try:
            found[code] = ProblemText(**texts)
        except TypeError as error:
            members = ", ".join(ProblemText._fields)
            raise ContractError(f"{place(PROBLEMS, code)}: {code} needs {members}, and nothing else.") from error
    return found


def problem_text(code: str) -> ProblemText:
    """Return what `problems.yaml` says about a code. Raise ContractError."""
    if code not in problem_texts():
        raise ContractError(f"{place(PROBLEMS)}: the code {code} is missing.")
    return problem_texts()[code]


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
