"""The files of a contract as one document, and how a mistake in one of them ends the start."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from tests.support.live import SLACK, environment, free_port, interruptible
from todo_api import contract
from todo_api.contract import ContractError, bundling, locate
from todo_api.contract.bundling import bundle, to_yaml
from todo_api.http.contract_check import check_contract

FOLDER = contract.TASK_API.parent
LONGEST = 800
"""Lines of a file that a person still edits with pleasure."""

PRINT = "import sys; from todo_api import contract; sys.stdout.buffer.write(contract.as_yaml(contract.TASK_API))"
SERVE = """
import sys
from pathlib import Path
from todo_api import cli, contract
contract.TASK_API, contract.OPS_API = Path("openapi/task-api.yaml"), Path("openapi/ops-api.yaml")
contract.files.PROBLEMS = Path("openapi/problems.yaml")
sys.exit(cli.main(["serve", "--port", sys.argv[1]]))
"""
"""Serves a contract of the working folder."""

Edit = Callable[[str, str, str], int]


_parsed: dict[bytes, bytes] = {}
"""By the content of a file, what it is in JSON."""


def read(file: Path, real: Callable[[Path], Any] = bundling.read) -> Any:
    """Return the content of a YAML file as the service reads it. What was read before, in another copy, is not parsed again."""
    content = file.read_bytes()
    if content not in _parsed:
        _parsed[content] = orjson.dumps(real(file))
    return orjson.loads(_parsed[content])


@pytest.fixture
def edit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Edit:
    """Replace a text, which must be there, in a file of a copy of the contract. Return the line that begins the new text."""
    monkeypatch.setattr(bundling, "read", read)
    copy = tmp_path / "openapi"
    shutil.copytree(FOLDER, copy)

    def change(name: str, old: str, new: str) -> int:
        text = (copy / name).read_text(encoding="utf-8")
        before, found, after = text.partition(old)
        assert found, old
        (copy / name).write_text(before + new + after, encoding="utf-8")
        return before.count("\n") + 1

    return change


def written(folder: Path, **files: str) -> Path:
    """Write a small contract, and return its root."""
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return folder / "root.yaml"


def mistake(folder: Path) -> str:
    """Return what stops the start with the copy of the contract."""
    for name in ("task-api.yaml", "ops-api.yaml"):
        try:
            check_contract(folder / "openapi" / name)
        except ContractError as error:
            return str(error)
    return "none"


def references(node: Any) -> set[str]:
    if isinstance(node, dict):
        own = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
        return own.union(*map(references, node.values()))
    return set().union(*map(references, node)) if isinstance(node, list) else set()


def test_files_of_the_contract_are_short() -> None:
    lengths = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in FOLDER.glob("*.yaml")}
    assert {name: length for name, length in lengths.items() if length > LONGEST} == {}


def test_each_tag_has_a_file_with_its_paths_and_no_others() -> None:
    for tag in (tag["name"] for tag in contract.load(contract.TASK_API)["tags"]):
        paths = yaml.safe_load((FOLDER / f"{tag}.yaml").read_text(encoding="utf-8"))["paths"]
        operations = [item[method] for item in paths.values() for method in item if method != "parameters"]
        assert operations
        assert [operation["operationId"] for operation in operations if operation["tags"] != [tag]] == []


def test_bundle_is_the_same_bytes_in_every_process() -> None:
    made = {
        subprocess.run(
            [sys.executable, "-c", PRINT], env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert made == {contract.as_yaml(contract.TASK_API)}


def test_bundle_in_yaml_reads_back_as_the_document_it_was() -> None:
    document = {
        "text": "two\nlines",
        "trailing": "blank \nline",
        "number": "1",
        "pattern": "\U0001f600\x00",
        "same": [],
    }
    document |= {"again": document["same"]}
    assert yaml.safe_load(to_yaml(document)) == document
    assert b"*" not in to_yaml(document)


def test_bundle_in_yaml_is_in_the_order_of_the_files() -> None:
    document = yaml.safe_load(contract.as_yaml(contract.TASK_API))
    assert [*document][:2] == ["openapi", "info"]
    assert [*document["paths"]] == [*yaml.safe_load(contract.TASK_API.read_text(encoding="utf-8"))["paths"]]


def test_bundle_refers_to_itself_alone() -> None:
    found = references(contract.load(contract.TASK_API))
    assert len(found) > 100
    assert {reference for reference in found if not reference.startswith("#/components/")} == set()


def test_bundle_holds_the_parts_of_every_file_under_their_names(tmp_path: Path) -> None:
    root = written(
        tmp_path,
        root="openapi: 3.0.3\npaths:\n  /a: {$ref: 'a.yaml#/paths/~1a'}\n  /b: {get: {x: {$ref: 'a.yaml#/components/schemas/B'}}}\n",
        a="paths:\n  /a: {get: {x: {$ref: 'c.yaml#/components/schemas/C'}}}\n"
        "components:\n  schemas:\n    B: {items: [{$ref: '#/components/schemas/B'}]}\n",
        c="components:\n  schemas:\n    C: {not: {$ref: 'a.yaml#/components/schemas/B'}}\n",
    )
    assert bundle(root) == {
        "openapi": "3.0.3",
        "paths": {
            "/a": {"get": {"x": {"$ref": "#/components/schemas/C"}}},
            "/b": {"get": {"x": {"$ref": "#/components/schemas/B"}}},
        },
        "components": {
            "schemas": {
                "B": {"items": [{"$ref": "#/components/schemas/B"}]},
                "C": {"not": {"$ref": "#/components/schemas/B"}},
            }
        },
    }


def test_place_of_a_part_is_where_it_is_written(edit: Edit, tmp_path: Path) -> None:
    line = edit("tasks.yaml", "operationId: getTask\n      tags", "operationId: getTask\n      tags")
    root = tmp_path / "openapi" / "task-api.yaml"
    steps = ("paths", "/{user_id}/tasks/{task_id}", "get", "operationId")
    assert locate(root, *steps) == f"openapi/tasks.yaml:{line}"
    assert locate(root, *steps, "0", "nothing") == f"openapi/tasks.yaml:{line}"
    assert locate(root, "info") == "openapi/task-api.yaml:2"
    assert locate(root) == "openapi/task-api.yaml:1"


def test_place_of_a_part_of_a_list_is_where_it_is_written(tmp_path: Path) -> None:
    root = written(tmp_path, root="openapi: 3.0.3\ntags:\n- name: a\n- x: y\n  name: b\n")
    places = [locate(root, "tags", "1"), locate(root, "tags", "1", "name"), locate(root, "tags", "2")]
    assert places == [f"{tmp_path.name}/root.yaml:{line}" for line in (4, 5, 2)]


@pytest.mark.parametrize("content", [b"title: \xff\n", b"title: \x00\n"], ids=["not UTF-8", "NUL"])
def test_file_that_is_no_text_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    root = written(tmp_path, root="")
    root.write_bytes(content)
    with pytest.raises(ContractError, match=rf"^{tmp_path.name}/root\.yaml:1: .+\.$") as refused:
        bundling.read(root)
    assert len(str(refused.value).splitlines()) == 1


LIST = "    get:\n      operationId: listTasks\n"
GET = "    get:\n      operationId: getTask\n"
TAG = "      tags: [tasks]\n"
SCOPE = "      x-required-scope: tasks:read\n"
FORBIDDEN = "errors.yaml#/components/responses/Forbidden"

MISTAKES: dict[str, tuple[str, str, str, int | None, str]] = {
    "a reference to nothing": (
        *("tasks.yaml", "#/components/schemas/TaskPatch'", "#/components/schemas/TaskPath'", 0),
        "#/components/schemas/TaskPath is missing.",
    ),
    "a reference to nothing of another file": (
        *("tasks.yaml", FORBIDDEN, "errors.yaml#/components/responses/Forbade", 0),
        "errors.yaml#/components/responses/Forbade is missing.",
    ),
    "a reference to no file": (
        *("tasks.yaml", FORBIDDEN, "faults.yaml#/components/responses/Forbidden", 0),
        "faults.yaml#/components/responses/Forbidden names a file that is missing.",
    ),
    "a reference to another server": (
        *("tasks.yaml", FORBIDDEN, "https://example.com/a.yaml#/components", 0),
        "https://example.com/a.yaml#/components names a file that is missing.",
    ),
    "a reference to what is no component": (
        *("tasks.yaml", FORBIDDEN, "task-api.yaml#/info", 0),
        "task-api.yaml#/info is no component.",
    ),
    "a bracket that is not closed": (
        *("tasks.yaml", "tags: [tasks]\n", "tags: [tasks\n", 1),
        "did not find expected ',' or ']'.",
    ),
    "a tab": ("tasks.yaml", f"{GET}{TAG}", f"{GET}\t{TAG}", 2, "found a tab character that violates indentation."),
    "a key twice": ("tasks.yaml", TAG, TAG + TAG, 1, "the key tags is duplicate."),
    "a key that is a number": ("tasks.yaml", "        '304':", "        304:", 0, "put the key 304 in quotes."),
    "a file that is a list": ("common.yaml", "components:", "- components:", None, "the file is no mapping."),
    "paths that are a list": ("tasks.yaml", "paths:", "paths: []\nx-paths:", 0, "paths is no mapping."),
    "a component twice": (
        *("errors.yaml", "    Problem:\n", "    TaskInput:\n      type: object\n    Problem:\n", 0),
        "components/schemas/TaskInput is in openapi/tasks.yaml too.",
    ),
    "a path that the root leaves out": (
        *("tasks.yaml", "paths:\n", "paths:\n  /left-out: {}\n", 1),
        "openapi/task-api.yaml does not list the path /left-out.",
    ),
    "a path under another's name": (
        *("task-api.yaml", "~1{user_id}~1tasks'", "~1{user_id}~1tasks~1{task_id}'", 0),
        "tasks.yaml#/paths/~1{user_id}~1tasks~1{task_id} is not the path /{user_id}/tasks.",
    ),
    "a keyword that is misspelt": (
        *("common.yaml", "    EntityTags:\n      type", "    EntityTags:\n      kind: x\n      type", 0),
        "Additional properties are not allowed ('kind' was unexpected)",
    ),
    "a value of another type": (
        "common.yaml",
        "maxLength: 1024",
        "maxLength: many",
        0,
        '"many" is not of type "integer"',
    ),
    "a handler that is missing": (
        *("tasks.yaml", LIST, LIST.replace("listTasks", "listAllTasks"), 0),
        "has no attribute 'list_all_tasks'",
    ),
    "a tag without handlers": ("tasks.yaml", f"{LIST}{TAG}", f"{LIST}      tags: [jobs]\n", 0, "No module named"),
    "no tag": ("tasks.yaml", f"{LIST}{TAG}", LIST, 0, "An operation needs an operationId and one tag."),
    "a handler that does not take a parameter": (
        *("tasks.yaml", GET, GET.replace("getTask", "listTasks"), 0),
        "listTasks: the contract passes",
    ),
    "a scope that is missing": (
        *("tasks.yaml", f"{LIST}{TAG}{SCOPE}", f"{LIST}{TAG}", 0),
        "listTasks: x-required-scope is missing, and security asks for a token",
    ),
    "a scope that is no text": (
        *("tasks.yaml", f"{LIST}{TAG}{SCOPE}", f"{LIST}{TAG}      x-required-scope: [tasks:read]\n", 0),
        "listTasks: x-required-scope must be a text",
    ),
    "a scope of a public operation": (
        *(
            "accounts.yaml",
            "    post:\n      operationId: issueToken\n",
            f"    post:\n      operationId: issueToken\n{SCOPE}",
            0,
        ),
        "issueToken: x-required-scope needs security, and there is none",
    ),
    "a security scheme that is unknown": (
        *("tasks.yaml", GET, f"{GET}      security: [{{basic: []}}]\n", 0),
        "getTask: components/securitySchemes lacks basic",
    ),
    "a deprecation without its date": (
        *("tasks.yaml", GET, f"{GET}      deprecated: true\n", 0),
        "getTask: a deprecated operation needs x-deprecated-at",
    ),
    "a handler of an operator that is missing": (
        *("ops-api.yaml", "    get:\n      operationId: checkLiveness", "    get:\n      operationId: checkLife", 0),
        "has no attribute 'check_life'",
    ),
}
"""File, old text, new text, how many lines after its beginning the mistake stands (None: line 1), and what is said of it."""


def test_check_of_the_contract_as_it_is_finds_nothing(edit: Edit, tmp_path: Path) -> None:
    assert mistake(tmp_path) == "none"


@pytest.mark.parametrize("name", MISTAKES)
def test_check_with_a_mistake_says_it_in_a_line_with_file_and_line(edit: Edit, tmp_path: Path, name: str) -> None:
    file, old, new, after, what = MISTAKES[name]
    line = edit(file, old, new)
    said = mistake(tmp_path)
    assert said.startswith(f"openapi/{file}:{1 if after is None else line + after}: "), said
    assert what in said
    assert len(said.splitlines()) == 1
    assert len(said) < 400


def test_check_with_an_operation_id_twice_is_refused(edit: Edit, tmp_path: Path) -> None:
    item = "  /me/tasks: {get: {operationId: checkLiveness, tags: [operations], security: [], responses: {'200': {description: ''}}}}\n"
    line = edit("ops-api.yaml", "  /health/ready:\n", f"{item}  /health/ready:\n")
    assert mistake(tmp_path) == (
        f"openapi/ops-api.yaml:{line}: checkLiveness is the operationId of another operation too"
    )


@pytest.mark.parametrize(
    ("file", "old", "new", "what"),
    [
        ("tasks.yaml", "#/components/schemas/TaskPatch'", "#/components/schemas/TaskPath'", "is missing."),
        ("ops-api.yaml", "operationId: checkLiveness", "operationId: checkLife", "has no attribute 'check_life'"),
        ("problems.yaml", "  title: Malformed JSON\n", "", "malformed_json needs status, title, when, happened, do"),
        ("problems.yaml", "malformed_json:\n", "malformed_jsons:\n", "the code malformed_json is missing."),
    ],
    ids=["$ref", "handler", "problem text", "problem code"],
)
def test_serve_with_a_mistake_in_the_contract_ends_with_one_line(
    edit: Edit, tmp_path: Path, file: str, old: str, new: str, what: str
) -> None:
    edit(file, old, new)
    done = subprocess.run(
        [sys.executable, "-c", SERVE, str(free_port())],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
        timeout=SLACK,
        stdin=subprocess.DEVNULL,
        preexec_fn=interruptible,
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"todo-api: openapi/{file}:")
    assert what in line
    assert not (tmp_path / "data").exists()
