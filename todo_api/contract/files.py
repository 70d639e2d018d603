"""The contracts: their files, their content, and the names of handlers."""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from todo_api.contract.errors import ContractError


def shipped(folder: str) -> Path:
    """Return a folder that stands beside the package in a checkout, and inside it if installed."""
    package = Path(__file__).parents[1]
    inside = package / folder
    return inside if inside.is_dir() else package.parent / folder


TASK_API = shipped("openapi") / "task-api.yaml"
OPS_API = shipped("openapi") / "ops-api.yaml"
PROBLEMS = shipped("openapi") / "problems.yaml"


class ProblemText(NamedTuple):
    """The text of a problem code in `problems.yaml`."""

    status: int
    title: str
    when: str
    happened: str
    do: str


def load(path: Path, public_path: str = "") -> dict[str, Any]:
    """Return a copy of the bundled contract, with its `$ref`s.

    The addresses of its servers begin with `public_path`.
    """
    document: dict[str, Any] = orjson.loads(as_json(path))
    for server in document["servers"]:
        server["url"] = public_path + server["url"]
    return document


@cache
def as_json(path: Path) -> bytes:
    """Return the bundled contract in JSON. It is read once, before workers are forked."""
    from todo_api.contract.bundling import bundle  # noqa: PLC0415  # YAML is not for a command that needs no contract

    return orjson.dumps(bundle(path))


def as_yaml(path: Path, public_path: str = "") -> bytes:
    """Return the bundled contract in YAML, the same bytes each time."""
    from todo_api.contract.bundling import to_yaml  # noqa: PLC0415  # as above

    return to_yaml(load(path, public_path))


def locate(path: Path, *steps: str) -> str:
    """Return file and line of a part of the bundled document.

    A part that bundling made has none: then those of its nearest parent in a file.
    """
    from todo_api.contract import bundling  # noqa: PLC0415  # as above

    return bundling.locate(path, *steps)


@cache
def problem_texts() -> dict[str, ProblemText]:
    """Return the texts of all problem codes. Raise ContractError."""
    from todo_api.contract.bundling import read  # noqa: PLC0415  # as above

    found = {}
    for code, texts in read(PROBLEMS).items():
        try:
            found[code] = ProblemText(**texts)
        except TypeError as error:
            members = ", ".join(ProblemText._fields)
            raise ContractError(f"{locate(PROBLEMS, code)}: {code} needs {members}, and nothing else.") from error
    return found


def problem_text(code: str) -> ProblemText:
    """Return the text of a problem code. Raise ContractError."""
    if code not in problem_texts():
        raise ContractError(f"{locate(PROBLEMS)}: the code {code} is missing.")
    return problem_texts()[code]


def resolve(document: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """Return the part, or the target of its `$ref`."""
    while "$ref" in part:
        target: Any = document
        for step in part["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        part = target
    return part


METHODS = ("get", "put", "post", "patch", "delete")
"""Methods of operations. HEAD and OPTIONS follow from them."""


def operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield path, method and definition of every operation."""
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield path, method, item[method]


def snake_case(name: str) -> str:
    """Return a camelCase name in snake_case: `listTasks` becomes `list_tasks`."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()
