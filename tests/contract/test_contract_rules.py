"""The rules of the house over the contracts: closed, bounded, exemplified, and one with the handlers."""

import importlib
import inspect
import re
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from connexion.exceptions import InvalidSpecification
from connexion.spec import OpenAPISpecification
from jsonschema import Draft4Validator, FormatChecker
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT4

from tests.support.contract_check import _plain
from todo_api import contract
from todo_api.contract import resolve
from todo_api.http import problems
from todo_api.http.connexion_app import CompiledSpecification, TagResolver, operation_of, specification
from todo_api.models import KEY_SCOPES, MOST_KEYS

CONTRACTS = {path.stem: contract.load(path) for path in (contract.TASK_API, contract.OPS_API)}
TYPES = {"object", "array", "string", "integer", "number", "boolean"}
NOT_SCHEMAS = {"example", "examples", "value", "links", "enum", "default"}

Contract = pytest.mark.parametrize("document", CONTRACTS.values(), ids=CONTRACTS)


class Operation(NamedTuple):
    """An operation with the parameters it shares with its path."""

    document: dict[str, Any]
    path: str
    definition: dict[str, Any]
    parameters: list[dict[str, Any]]

    @property
    def name(self) -> str:
        return str(self.definition["operationId"])

    @property
    def is_public(self) -> bool:
        return self.definition.get("security", self.document["security"]) == []

    def has(self, place: str, name: str = "") -> bool:
        """Whether it has a parameter in that place, of that name if one is given."""
        return any(parameter["in"] == place and name in ("", parameter["name"]) for parameter in self.parameters)


def operations() -> Iterator[Operation]:
    for document in CONTRACTS.values():
        for path, item in document["paths"].items():
            for method, definition in item.items():
                if method != "parameters":
                    given = [*item.get("parameters", []), *definition.get("parameters", [])]
                    yield Operation(document, path, definition, [resolve(document, part) for part in given])


def parts(node: Any, place: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every mapping of a document with its place, examples and links left out."""
    if isinstance(node, dict):
        yield place, node
        for name, part in node.items():
            if name not in NOT_SCHEMAS or place.endswith("/properties"):
                yield from parts(part, f"{place}/{name}")
    elif isinstance(node, list):
        for index, part in enumerate(node):
            yield from parts(part, f"{place}/{index}")


def schemas(document: dict[str, Any], kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema of that type with its place."""
    return ((place, part) for place, part in parts(document) if part.get("type") == kind)


def broken(document: dict[str, Any], schema: dict[str, Any], value: Any) -> list[str]:
    """What is wrong with an example."""
    registry: Registry[Any] = Registry().with_resource("contract:", Resource(_plain(document), DRAFT4))
    validator = Draft4Validator(_plain(schema), registry=registry, format_checker=FormatChecker())
    return [error.message for error in validator.iter_errors(value)]


Each = pytest.mark.parametrize("operation", [*operations()], ids=lambda operation: operation.name)


@Contract
def test_schemas_have_a_type_or_point_to_one(document: dict[str, Any]) -> None:
    untyped = [
        place
        for place, part in parts(document)
        if place.endswith(("/schema", "/items")) or place.rpartition("/")[0].endswith(("/schemas", "/properties"))
        if "$ref" not in part and part.get("type") not in TYPES
    ]
    assert untyped == []


@Contract
def test_objects_are_closed(document: dict[str, Any]) -> None:
    found = list(schemas(document, "object"))
    assert found
    assert [place for place, schema in found if schema.get("additionalProperties") is not False] == []


@Contract
def test_strings_are_bounded(document: dict[str, Any]) -> None:
    found = list(schemas(document, "string"))
    assert found
    assert [place for place, schema in found if not {"maxLength", "enum"} & set(schema)] == []


@Contract
def test_arrays_are_bounded(document: dict[str, Any]) -> None:
    found = list(schemas(document, "array"))
    assert found
    assert [place for place, schema in found if "maxItems" not in schema] == []


@Contract
def test_integers_are_bounded_and_sized(document: dict[str, Any]) -> None:
    needed = {"minimum", "maximum", "format"}
    found = list(schemas(document, "integer"))
    assert found
    assert [place for place, schema in found if not needed <= set(schema)] == []


@Contract
def test_bodies_have_examples(document: dict[str, Any]) -> None:
    contents = [(place, part) for place, part in parts(document) if place.endswith("/content")]
    bodies = [(f"{place} {media}", body) for place, part in contents for media, body in part.items()]
    assert bodies
    assert [place for place, body in bodies if not body.get("examples")] == []


@Contract
def test_examples_of_bodies_keep_to_their_schemas(document: dict[str, Any]) -> None:
    wrong = {
        f"{place} {name}": errors
        for place, part in parts(document)
        if "examples" in part and "schema" in part
        for name, example in part["examples"].items()
        if (errors := broken(document, part["schema"], resolve(document, example)["value"]))
    }
    assert wrong == {}


@Contract
def test_examples_of_schemas_and_parameters_keep_to_them(document: dict[str, Any]) -> None:
    wrong = {
        place: errors
        for place, part in parts(document)
        if "example" in part and not place.endswith("/properties")
        if (errors := broken(document, part.get("schema", part), part["example"]))
    }
    assert wrong == {}


@Contract
def test_problems_tell_their_own_status(document: dict[str, Any]) -> None:
    told = {
        (status, resolve(document, example)["value"]["status"])
        for operation in operations()
        if operation.document is document
        for status, response in operation.definition["responses"].items()
        for body in resolve(document, response).get("content", {}).values()
        for example in body["examples"].values()
        if int(status) >= 400
    }
    assert told
    assert [(status, said) for status, said in told if int(status) != said] == []


@Each
def test_operation_is_described(operation: Operation) -> None:
    assert operation.definition["summary"].strip()
    assert operation.definition["description"].strip()
    (tag,) = operation.definition["tags"]
    assert tag in {known["name"] for known in operation.document["tags"]}


@Each
def test_operation_lists_the_errors_it_can_give(operation: Operation) -> None:
    needed = {
        "500": True,
        "400": bool(operation.parameters) or "requestBody" in operation.definition,
        "401": not operation.is_public,
        "403": operation.has("path", "user_id"),
        "404": operation.has("path", "task_id"),
        "412": operation.has("header", "If-Match"),
        "409": operation.has("header", "Idempotency-Key"),
        "413": "requestBody" in operation.definition,
        "415": "requestBody" in operation.definition,
        "422": operation.has("header", "Idempotency-Key") and not operation.is_public,
        "503": operation.name not in ("checkLiveness", "getMetrics"),
    }
    responses = operation.definition["responses"]
    assert {status for status, given in needed.items() if given} - set(responses) == set()
    assert "default" not in responses


@Each
def test_operation_says_which_scope_it_needs_where_it_needs_a_token(operation: Operation) -> None:
    scope = operation.definition.get("x-required-scope")
    if operation.is_public:
        assert scope is None
        return
    known = operation.document["components"]["schemas"]["KeyScope"]["enum"]
    assert {*scope.split()} <= {*known} or scope == "credentials"
    told = " and ".join(f"`{one}`" for one in scope.split())
    assert re.search(rf"the scopes? {told}", operation.definition["description"])


def test_scopes_of_keys_are_those_of_the_database_and_each_is_needed_somewhere() -> None:
    tasks, _ = CONTRACTS.values()
    assert tuple(tasks["components"]["schemas"]["KeyScope"]["enum"]) == KEY_SCOPES
    needed = " ".join(operation.definition.get("x-required-scope", "") for operation in operations())
    assert {*KEY_SCOPES} <= {*needed.split()}
    assert tasks["components"]["schemas"]["ApiKeyList"]["properties"]["items"]["maxItems"] == MOST_KEYS


def test_operations_have_names_of_their_own() -> None:
    found = [operation.name for operation in operations()]
    assert sorted(set(found)) == sorted(found)


def test_handlers_are_the_operations_and_nothing_else() -> None:
    described = {(tag, contract.snake_case(each.name)) for each in operations() for tag in each.definition["tags"]}
    written = set()
    for tag in {tag for tag, _ in described}:
        module = importlib.import_module(f"todo_api.{tag}.handlers")
        functions = inspect.getmembers(module, inspect.isfunction)
        local = [name for name, function in functions if function.__module__ == module.__name__]
        written |= {(tag, name) for name in local if not name.startswith("_")}
    assert written == described


def test_packages_with_handlers_are_the_tags() -> None:
    packages = {path.parent.name for path in (Path(__file__).parents[2] / "todo_api").glob("*/handlers.py")}
    assert packages == {tag["name"] for document in CONTRACTS.values() for tag in document["tags"]}


@pytest.mark.parametrize("path", sorted(contract.TASK_API.parent.glob("*.yaml")), ids=lambda path: path.name)
def test_contract_is_plain_yaml(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert [mark for mark in ("{{", "{%", "{#") if mark in text] == []
    tokens = yaml.scan(text, Loader=yaml.SafeLoader)
    assert [token for token in tokens if isinstance(token, yaml.AnchorToken | yaml.AliasToken)] == []


def test_problem_texts_are_those_of_the_contracts_codes_and_of_every_error() -> None:
    tasks, _ = CONTRACTS.values()
    codes = tasks["components"]["schemas"]["ProblemCode"]["enum"]
    assert sorted(contract.problem_texts()) == sorted(codes)
    assert {kind.code for kind in (*problems.PROBLEM_TYPES.values(), problems.INTERNAL_ERROR)} == {*codes}


def test_problem_titles_and_statuses_of_examples_are_those_of_problem_texts() -> None:
    shown = [
        (name, problem["code"], problem["status"], problem["title"])
        for document in CONTRACTS.values()
        for name, example in document["components"].get("examples", {}).items()
        if isinstance(problem := example["value"], dict) and "code" in problem
    ]
    texts = contract.problem_texts()
    assert len(shown) > 20
    assert shown == [(name, code, texts[code].status, texts[code].title) for name, code, _, _ in shown]


def test_contracts_share_the_shape_of_problems() -> None:
    def shape(document: dict[str, Any], name: str) -> dict[str, Any]:
        schema = document["components"]["schemas"][name]
        members = {member: resolve(document, part) for member, part in schema["properties"].items()}
        rules = {
            member: {rule: value for rule, value in part.items() if rule not in ("description", "example", "enum")}
            for member, part in members.items()
        }
        return {"required": schema["required"], "closed": schema["additionalProperties"], "members": rules}

    tasks, ops = CONTRACTS.values()
    assert shape(ops, "Problem") == shape(tasks, "Problem")


def test_problem_codes_of_operators_are_among_the_public_ones() -> None:
    def codes(document: dict[str, Any]) -> set[str]:
        code = document["components"]["schemas"]["Problem"]["properties"]["code"]
        return set(resolve(document, code)["enum"])

    tasks, ops = CONTRACTS.values()
    assert codes(ops) <= codes(tasks)


@Contract
def test_contract_passes_what_connexion_itself_asks_of_one(document: dict[str, Any]) -> None:
    OpenAPISpecification(deepcopy(document))  # it adds to it


def test_contract_that_is_no_openapi_is_refused_with_its_place() -> None:
    document = contract.load(contract.OPS_API)
    document["paths"]["/metrics"]["get"]["responses"] = []
    with pytest.raises(InvalidSpecification, match=r"^paths//metrics/get/responses: "):
        CompiledSpecification(document)


@pytest.mark.parametrize("path", [contract.TASK_API, contract.OPS_API], ids=CONTRACTS)
def test_contract_that_applications_share_stays_as_it_is(path: Path) -> None:
    before = deepcopy(specification(path).spec)
    for address, method, _ in contract.operations(specification(path)):
        operation_of(specification(path), address, method, TagResolver())
    assert specification(path).spec == before
