"""Scopes: the contract, the documentation and the service say the same of each operation. `test_isolation.py` tries what each opens."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.client import Client
from tests.support.pages import read
from tests.support.users import User
from todo_api import contract
from todo_api.models import KEY_SCOPES

ACCOUNT = "/api/v1/me/account"
CREDENTIALS = "credentials"
READS = {"tasks:read", "account"}


def operations() -> dict[str, tuple[str, dict[str, Any]]]:
    """The method and the definition of each operation that takes a token."""
    return {
        operation["operationId"]: (method, operation)
        for item in contract.load(contract.TASK_API)["paths"].values()
        for method, operation in item.items()
        if method != "parameters" and "x-required-scope" in operation
    }


@pytest.fixture
def with_key(user: User) -> Callable[..., Client]:
    """A client of the user with an API key of these scopes."""

    def make(*scopes: str) -> Client:
        made = user.client.post("/api/v1/me/keys", {"name": "Scoped", "scopes": [*scopes]})
        return user.client.signed_in(made.json()["key"])

    return make


def test_api_keys_page_names_every_operation_beside_the_scopes_it_needs() -> None:
    table = re.findall(
        r"^\| (`[a-z`:, ]+?)(?:, which no key has)? \| (`\w+`.*?) \|$", read("docs/api-keys.md"), re.MULTILINE
    )
    told = {
        operation: " ".join(re.findall(r"`([a-z:]+)`", scopes))
        for scopes, opened in table
        for operation in re.findall(r"`([a-z]+[A-Z]\w*)`", opened)
    }
    assert told == {name: operation["x-required-scope"] for name, (_, operation) in operations().items()}


def test_operations_that_write_need_a_scope_that_writes_and_others_need_none() -> None:
    for name, (method, operation) in operations().items():
        scopes = {*operation["x-required-scope"].split()}
        if CREDENTIALS in scopes:
            assert scopes == {CREDENTIALS}
        else:
            assert scopes <= {*KEY_SCOPES}
            assert (scopes & READS == set()) == (method != "get"), name


@pytest.mark.parametrize("scopes", [["account"], ["tasks:read"], ["tasks:read", "tasks:write", "account:write"]])
def test_export_account_with_a_key_that_lacks_a_scope_is_forbidden(
    with_key: Callable[..., Client], scopes: list[str]
) -> None:
    assert with_key(*scopes).get(f"{ACCOUNT}/export").code == "insufficient_scope"


def test_export_account_with_a_key_shows_neither_sessions_nor_keys(user: User, with_key: Callable[..., Client]) -> None:
    user.client.post("/api/v1/me/tasks", {"title": "Mine"})
    user.client.post("/api/v1/me/projects", {"name": "Mine"})
    user.client.delete(user.client.post("/api/v1/me/tasks", {"title": "Gone"}).headers["location"])
    key = with_key("account", "tasks:read")
    told, whole = (client.get(f"{ACCOUNT}/export").json() for client in (key, user.client))
    parts = ("account", "projects", "tasks", "history", "trash")
    assert {*told} == {"exported_at", *parts}
    assert {*whole} - {*told} == {"sessions", "api_keys"}
    assert [len(whole[name]) for name in ("sessions", "api_keys", "projects", "tasks", "trash")] == [1] * 5
    assert {name: told[name] for name in parts} == {name: whole[name] for name in parts}


def test_update_account_with_a_key_that_reads_alone_is_forbidden_and_with_one_that_writes_is_done(
    user: User, with_key: Callable[..., Client]
) -> None:
    refused = with_key("account", "tasks:read", "tasks:write").patch(ACCOUNT, {"name": "Taken over"})
    assert (refused.status, refused.code) == (403, "insufficient_scope")
    assert with_key("account:write").get(ACCOUNT).code == "insufficient_scope"
    assert with_key("account:write").patch(ACCOUNT, {"name": "Agent"}).json()["name"] == "Agent"
    assert user.client.get(ACCOUNT).json()["name"] == "Agent"
