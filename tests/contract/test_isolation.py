"""Who gets through and who does not, for every operation of the contracts. The list of operations is theirs, not ours."""

import secrets
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from tests.support.cases import case
from tests.support.client import Client
from tests.support.credentials import own_issuer, token
from tests.support.rows import rows as every_row
from tests.support.secured_operations import (
    KEY_SCOPES,
    SECURED,
    UNKNOWN,
    SecuredOperation,
    is_public,
    new_key,
    operations_of,
)
from tests.support.token_kinds import new_token
from todo_api import contract

PUBLIC = {"registerAccount", "issueToken", "refreshToken", "signOut", "resetPassword", "verifyEmail"} | {
    "checkLiveness",
    "checkReadiness",
    "getMetrics",
    "requestPasswordReset",
    "requestEmailVerification",
}
"""Operations without a token. Add to it only what must work before a user is known."""

SAME_ID = {"X-Request-ID": "the-same"}


ABOUT_A_THING = [operation for operation in SECURED if any(f"{{{name}}}" in operation.template for name in UNKNOWN)]

every_operation = pytest.mark.parametrize("operation", SECURED, ids=[operation.name for operation in SECURED])
every_operation_on_a_thing = pytest.mark.parametrize(
    "operation", ABOUT_A_THING, ids=[operation.name for operation in ABOUT_A_THING]
)

BEFORE = "Before it, so that it can be moved"


class Owner(NamedTuple):
    """A user with one of everything: `ids` has what names it in addresses."""

    client: Client
    id: str
    ids: dict[str, str]


def new_owner(client: Client, direct: str, password_hash: str) -> Owner:
    client.post("/api/v1/me/tasks", {"title": BEFORE})
    task = client.post("/api/v1/me/tasks", {"title": "Mine", "labels": ["Mine"]}).json()
    seq = client.patch(f"/api/v1/me/tasks/{task['id']}", {"priority": "high"}).json()["version"]
    key = client.post("/api/v1/me/keys", {"name": "Mine", "scopes": ["tasks:read"]}).json()
    client.post("/api/v1/me/projects", {"name": "Before it, so that it can be moved"})
    project = client.post("/api/v1/me/projects", {"name": "Mine"}).json()
    item = client.post("/api/v1/me/tasks", {"title": "Deleted"}).json()
    client.delete(f"/api/v1/me/tasks/{item['id']}")
    account = (task["user_id"], f"{secrets.token_hex(6)}@example.com", password_hash)
    every_row(
        direct,
        f"INSERT INTO accounts (user_id, email, password_hash) VALUES {account} ON CONFLICT (user_id) DO NOTHING",
    )
    ids = {"task_id": task["id"], "key_id": key["id"], "project_id": project["id"], "label": "mine"}
    ids |= {"item_id": item["id"], "seq": str(seq), "version": str(task["version"])}
    return Owner(client, task["user_id"], ids)


@pytest.fixture
def owner(ada: Client, direct: str, password_hash: str) -> Owner:
    return new_owner(ada, direct, password_hash)


@pytest.fixture(scope="module")
def unharmed(anonymous: Client, direct: str, kind: str, password_hash: str) -> Owner:
    """The owner of the tests that change nothing: one for all of them."""
    client = anonymous.signed_in(new_token(direct, own_issuer(), kind, password_hash))
    return new_owner(client, direct, password_hash)


@pytest.fixture
def rows(direct: str) -> Callable[[Owner], list[Any]]:
    """Everything that an owner has in the database."""
    return lambda owner: every_row(
        direct,
        "SELECT u::text, (SELECT array_agg(t::text ORDER BY id) FROM tasks t WHERE user_id = u.id),"
        " (SELECT array_agg(p::text ORDER BY id) FROM projects p WHERE user_id = u.id),"
        " (SELECT array_agg(i::text ORDER BY id) FROM trash i WHERE user_id = u.id),"
        " (SELECT array_agg(ROW(id, name, scopes, expires_at)::text ORDER BY id) FROM api_keys WHERE user_id = u.id),"
        f" (SELECT a::text FROM accounts a WHERE user_id = u.id) FROM users u WHERE id = '{owner.id}'",
    )


def test_every_operation_without_security_is_listed() -> None:
    documents = (contract.TASK_API, contract.OPS_API)
    found = {
        operation["operationId"]
        for path in documents
        for document, _, _, operation, _ in operations_of(path)
        if is_public(document, operation)
    }
    assert found == PUBLIC


def test_every_secured_operation_is_in_a_users_space() -> None:
    assert [operation.name for operation in SECURED if not operation.template.startswith("/{user_id}/")] == []


@every_operation
def test_every_operation_as_owner_succeeds(
    operation: SecuredOperation, owner: Owner, rows: Callable[[Owner], list[Any]]
) -> None:
    """And what the other tests compare shows each write."""
    before = rows(owner)
    assert 200 <= operation.call(owner.client, "me", owner.ids).status < 300
    assert (rows(owner) != before) == (operation.method not in ("GET", "HEAD"))


@every_operation
def test_every_operation_as_owner_by_id_succeeds(operation: SecuredOperation, owner: Owner) -> None:
    assert 200 <= operation.call(owner.client, owner.id, owner.ids).status < 300


@every_operation
def test_every_operation_without_token_is_unauthorized(
    operation: SecuredOperation, unharmed: Owner, anonymous: Client, rows: Callable[[Owner], list[Any]]
) -> None:
    before = rows(unharmed)
    for user_id in ("me", unharmed.id):
        reply = operation.call(anonymous, user_id, unharmed.ids)
        assert reply.status == 401
        assert reply.headers["www-authenticate"] == 'Bearer realm="task-api"'
    assert rows(unharmed) == before


BAD: list[dict[str, Any]] = [
    {"secret": "another-secret-of-the-tests-9mVq3xTz"},
    {"issuer": "another"},
    {"audience": "another"},
    {"lifetime": -3600},
]


@every_operation
def test_every_operation_with_bad_token_is_unauthorized(
    operation: SecuredOperation, unharmed: Owner, anonymous: Client, rows: Callable[[Owner], list[Any]]
) -> None:
    before = rows(unharmed)
    for changes in BAD:
        with case(changes):
            reply = operation.call(anonymous.signed_in(token(unharmed.id, **changes)), "me", unharmed.ids)
            assert reply.status == 401
            assert 'error="invalid_token"' in reply.headers["www-authenticate"]
    assert rows(unharmed) == before


@every_operation
def test_every_operation_at_another_users_address_is_forbidden(
    operation: SecuredOperation, unharmed: Owner, bob: Client, rows: Callable[[Owner], list[Any]]
) -> None:
    before = rows(unharmed)
    assert operation.call(bob, unharmed.id, unharmed.ids).status == 403
    assert rows(unharmed) == before


@every_operation
def test_every_operation_at_a_strangers_address_does_not_tell_whether_the_user_exists(
    operation: SecuredOperation, unharmed: Owner, bob: Client
) -> None:
    known = operation.call(bob, unharmed.id, unharmed.ids, headers=SAME_ID)
    unknown = operation.call(bob, f"nobody-{secrets.token_hex(4)}", unharmed.ids, headers=SAME_ID)
    assert (known.status, known.body) == (403, unknown.body)
    assert unknown.status == 403


@every_operation_on_a_thing
def test_every_operation_on_another_users_task_or_key_is_not_found(
    operation: SecuredOperation, unharmed: Owner, bob: Client, rows: Callable[[Owner], list[Any]]
) -> None:
    before = rows(unharmed)
    theirs = operation.call(bob, "me", unharmed.ids, headers=SAME_ID)
    unknown = operation.call(bob, "me", UNKNOWN, headers=SAME_ID)
    assert (theirs.status, theirs.body) == (404, unknown.body)
    assert unknown.status == 404
    assert rows(unharmed) == before


@every_operation_on_a_thing
def test_every_operation_on_another_users_task_or_key_with_a_condition_is_not_found(
    operation: SecuredOperation, unharmed: Owner, bob: Client, rows: Callable[[Owner], list[Any]]
) -> None:
    before = rows(unharmed)
    condition = {"If-None-Match" if operation.method in ("GET", "HEAD") else "If-Match": '"1"'}
    assert operation.call(bob, "me", unharmed.ids, headers=condition).status == 404
    assert rows(unharmed) == before


FOR_KEYS = [operation for operation in SECURED if {*operation.scope.split()} <= {*KEY_SCOPES}]


@pytest.mark.parametrize("operation", FOR_KEYS, ids=[operation.name for operation in FOR_KEYS])
def test_every_operation_with_a_key_of_its_scope_alone_succeeds(operation: SecuredOperation, owner: Owner) -> None:
    key = owner.client.signed_in(new_key(owner.client, operation.scope.split()))
    assert 200 <= operation.call(key, "me", owner.ids).status < 300


@pytest.fixture(scope="module")
def narrow(unharmed: Owner) -> dict[str, Client]:
    """Clients by the one scope that their key lacks."""
    return {
        missing: unharmed.client.signed_in(new_key(unharmed.client, [one for one in KEY_SCOPES if one != missing]))
        for missing in {*KEY_SCOPES, *" ".join(operation.scope for operation in SECURED).split()}
    }


@every_operation
def test_every_operation_with_a_key_of_all_scopes_but_one_it_needs_is_forbidden(
    operation: SecuredOperation, unharmed: Owner, narrow: dict[str, Client], rows: Callable[[Owner], list[Any]]
) -> None:
    challenge = f'Bearer realm="task-api", error="insufficient_scope", scope="{operation.scope}"'
    before = rows(unharmed)
    for missing in operation.scope.split():
        for user_id in ("me", unharmed.id, "somebody-else"):
            reply = operation.call(narrow[missing], user_id, unharmed.ids)
            assert (reply.status, reply.headers["www-authenticate"]) == (403, challenge)
    assert rows(unharmed) == before


@pytest.fixture(scope="module")
def revoked(unharmed: Owner) -> Client:
    """A client with a key of all scopes that was revoked."""
    key = unharmed.client.signed_in(new_key(unharmed.client, KEY_SCOPES))
    assert key.get("/api/v1/me/tasks").status == 200
    last = unharmed.client.get("/api/v1/me/keys").json()["items"][0]
    assert unharmed.client.delete(f"/api/v1/me/keys/{last['id']}").status == 204
    return key


@every_operation
def test_every_operation_with_a_revoked_key_is_unauthorized(
    operation: SecuredOperation, unharmed: Owner, revoked: Client, rows: Callable[[Owner], list[Any]]
) -> None:
    before = rows(unharmed)
    reply = operation.call(revoked, "me", unharmed.ids)
    assert reply.status == 401
    assert 'error="invalid_token"' in reply.headers["www-authenticate"]
    assert rows(unharmed) == before


@pytest.mark.parametrize("operation", FOR_KEYS, ids=[operation.name for operation in FOR_KEYS])
def test_every_operation_with_another_users_key_finds_nothing_of_the_owners(
    operation: SecuredOperation, unharmed: Owner, bob: Client, rows: Callable[[Owner], list[Any]]
) -> None:
    before = rows(unharmed)
    key = bob.signed_in(new_key(bob, KEY_SCOPES))
    assert operation.call(key, unharmed.id, unharmed.ids).status == 403
    if operation in ABOUT_A_THING:
        assert operation.call(key, "me", unharmed.ids).status == 404
    assert rows(unharmed) == before


def test_list_tasks_of_two_users_holds_each_ones_own(owner: Owner, bob: Client) -> None:
    theirs = bob.post("/api/v1/me/tasks", {"title": "Theirs"}).json()
    newest, other = owner.client.get("/api/v1/me/tasks").json()["items"]
    assert (newest["id"], newest["title"], other["title"]) == (owner.ids["task_id"], "Mine", BEFORE)
    assert [task["id"] for task in bob.get("/api/v1/me/tasks?q=e").json()["items"]] == [theirs["id"]]
