"""What every operation repeats, held to the one list: OpenAPI 3.0 has no way to say it once.

`headers` and `responses` are maps, and a map is no component. Each entry is a reference, so that what it says is written once;
which entries an operation has is compared with the tables here.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from todo_api import contract
from todo_api.contract import resolve

DOCUMENT = contract.load(contract.TASK_API)
METHODS = ("get", "put", "post", "patch", "delete")

HEADERS = ("X-Request-ID", "Cache-Control", "Access-Control-Allow-Origin", "RateLimit-Policy", "RateLimit")
"""The headers of every response."""

HEADERS_OF_STATUS = {
    "201": {"Location"},
    "304": {"ETag"},
    "401": {"WWW-Authenticate"},
    "412": {"ETag"},
    "415": {"Accept-Encoding"},
    "429": {"Retry-After"},
    "503": {"Retry-After"},
}
"""The headers of every response with that status, in addition."""


class Operation(NamedTuple):
    """An operation, with the parameters of its path."""

    method: str
    definition: dict[str, Any]
    parameters: list[dict[str, Any]]

    @property
    def name(self) -> str:
        return str(self.definition["operationId"])

    @property
    def has_body(self) -> bool:
        return "requestBody" in self.definition

    @property
    def needs_token(self) -> bool:
        return self.definition.get("security") != []

    @property
    def confirms(self) -> bool:
        """Whether the password confirms it."""
        return self.needs_token and "x-password-attempt" in self.definition

    @property
    def keeps_replies(self) -> bool:
        return self.has("Idempotency-Key")

    @property
    def may_be_dry(self) -> bool:
        """Whether it can be tried: every write can, but of accounts and keys, which give and take credentials."""
        return self.method != "get" and not {"accounts", "api_keys"} & {*self.definition["tags"]}

    def has(self, name: str) -> bool:
        return any(parameter["name"] == name for parameter in self.parameters)


def operations() -> Iterator[Operation]:
    for item in DOCUMENT["paths"].values():
        for method in METHODS:
            if method in item:
                parameters = [*item.get("parameters", []), *item[method].get("parameters", [])]
                yield Operation(method, item[method], [resolve(DOCUMENT, part) for part in parameters])


ERRORS: dict[str, Callable[[Operation], str | None]] = {
    "400": lambda one: OWN_400.get(one.name, "InvalidRequest"),
    "401": lambda one: OWN_401.get(one.name, "Unauthorized" if one.needs_token else None),
    "403": lambda one: (
        OWN_403.get(one.name) if not one.needs_token else "NotConfirmed" if one.confirms else "Forbidden"
    ),
    "408": lambda one: "RequestTimeout" if one.has_body else None,
    "413": lambda one: "PayloadTooLarge" if one.has_body else None,
    "415": lambda one: (
        None if not one.has_body else "UnsupportedPatch" if one.method == "patch" else "UnsupportedMediaType"
    ),
    "422": lambda one: "IdempotencyKeyReused" if one.keeps_replies and one.needs_token else None,
    "429": lambda _: "RateLimited",
    "500": lambda _: "InternalError",
    "503": lambda _: "Unavailable",
}
"""The response component of each error that operations share, None where an operation cannot give it."""

OWN_400 = {"runBatch": "InvalidBatch"}

OWN_401 = {"deleteAccount": "NotFresh", "issueToken": "InvalidCredentials", "refreshToken": "InvalidRefreshToken"}

OWN_403 = {"issueToken": "EmailUnverified"}

Each = pytest.mark.parametrize("operation", [*operations()], ids=lambda operation: operation.name)


@Each
def test_operation_has_the_shared_errors_that_it_can_give_and_no_others(operation: Operation) -> None:
    responses = operation.definition["responses"]
    expected = {status: name for status, of in ERRORS.items() if (name := of(operation))}
    listed = {status: responses[status]["$ref"] for status in responses if status in ERRORS}
    assert listed == {status: f"#/components/responses/{name}" for status, name in expected.items()}


@Each
def test_operation_has_the_headers_of_every_response(operation: Operation) -> None:
    components = DOCUMENT["components"]["headers"]
    for status, response in operation.definition["responses"].items():
        headers = resolve(DOCUMENT, response)["headers"]
        assert {name: headers.get(name) for name in HEADERS} == {
            name: {"$ref": f"#/components/headers/{name}"} for name in HEADERS
        }, status
        assert HEADERS_OF_STATUS.get(status, set()) <= {*headers}, status
        if status == "409" and operation.keeps_replies:
            assert "Retry-After" in headers  # with idempotency_in_progress
        for name, header in headers.items():
            assert header["$ref"].removeprefix("#/components/headers/") in components, (status, name)


@Each
def test_operation_whose_replies_are_kept_says_where_one_is_replayed(operation: Operation) -> None:
    kept = operation.keeps_replies and operation.name != "deleteAccount"  # the kept reply is deleted as well
    successes = {
        status: "Idempotency-Replayed" in resolve(DOCUMENT, response)["headers"]
        for status, response in operation.definition["responses"].items()
        if status < "300"
    }
    assert successes
    assert {*successes.values()} == {kept}


@Each
def test_operation_has_dry_run_if_it_writes_and_its_replies_say_so(operation: Operation) -> None:
    assert operation.has("dry_run") == operation.may_be_dry
    told = {
        "Dry-Run" in resolve(DOCUMENT, response)["headers"]
        for status, response in operation.definition["responses"].items()
        if status < "300"
    }
    assert told == {operation.may_be_dry}


def test_every_error_of_the_tables_is_one_of_the_contract() -> None:
    named = {of(operation) for operation in operations() for of in ERRORS.values()} - {None}
    assert named <= {*DOCUMENT["components"]["responses"]}
