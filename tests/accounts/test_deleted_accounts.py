"""A deleted account: its tokens and keys open nothing any more, with whatever operation of the contract, and make no row."""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from tests.support.client import Client, Reply
from tests.support.credentials import PASSWORD, SECRET
from tests.support.rows import rows, tables_of_users
from tests.support.secured_operations import KEY_SCOPES, SECURED, UNKNOWN, SecuredOperation, new_key
from todo_api.config import Config

ACCOUNT = "/api/v1/me/account"


class Deleted(NamedTuple):
    """A user whose account is gone: what opened its space, what was in there, and two services that have met it."""

    url: str
    services: tuple[Client, Client]
    id: str
    token: str
    keys: dict[str, str]
    ids: dict[str, str]
    tables: list[tuple[str, str]]
    """Each table that a user has rows in, with the column that says whose."""

    def rows(self) -> dict[str, int]:
        """Return the number of their rows in each table of the catalogue."""
        counts = (
            f"SELECT '{table}', count(*) FROM {table} WHERE {column} = '{self.id}'" for table, column in self.tables
        )
        return dict(rows(self.url, " UNION ALL ".join(counts)))

    def refused_by_all(self, operation: SecuredOperation, bearer: str, ids: dict[str, str], **more: Any) -> None:
        """Asserts that every service refuses the token, at either address, and that nothing comes of it."""
        for service in self.services:
            for user_id in ("me", self.id):
                assert_invalid(operation.call(service.signed_in(bearer), user_id, ids, **more), operation.method)
        assert {*self.rows().values()} == {0}


def assert_invalid(reply: Reply, method: str) -> None:
    assert (reply.status, method == "HEAD" or reply.code) == (401, method == "HEAD" or "unauthorized")
    assert 'error="invalid_token"' in reply.headers["www-authenticate"]


@pytest.fixture(scope="module")
def deleted(url: str, anonymous: Client, new_client: Callable[[Config], Client]) -> Deleted:
    """Their token and keys were taken by both services just before, and what is kept of a token there is still kept."""
    body = {"email": "leaver@example.com", "password": PASSWORD}
    user_id = anonymous.post("/api/v1/auth/register", body).json()["id"]
    token = anonymous.post("/api/v1/auth/token", body).json()["access_token"]
    user = anonymous.signed_in(token)
    body = {"title": "Soon gone", "labels": ["Soon gone"]}
    task = user.post("/api/v1/me/tasks", body, headers={"Idempotency-Key": '"before-the-end"'}).json()
    key = user.post("/api/v1/me/keys", {"name": "Soon gone", "scopes": ["tasks:read"]}).json()
    project = user.post("/api/v1/me/projects", {"name": "Soon gone"}).json()
    item = user.post("/api/v1/me/tasks", {"title": "Gone"})
    assert user.delete(item.headers["location"]).status == 204
    keys = {scope: new_key(user, [scope]) for scope in KEY_SCOPES}
    rows(
        url,
        "INSERT INTO one_time_tokens SELECT user_id, gen_random_uuid(), 'reset', repeat('d', 64), email, 1,"
        f" now(), now() + interval '1 hour' FROM accounts WHERE user_id = '{user_id}'",
    )
    services = (
        anonymous,
        new_client(Config(database_url=url, jwt_secret=SECRET, rate_limit="off", queue_limit=60_000)),
    )
    ids = {"task_id": task["id"], "key_id": key["id"], "project_id": project["id"], "label": "soon gone"}
    ids["seq"] = str(task["version"])
    ids["item_id"] = item.json()["id"]
    tables = [(table, "user_id" if "user_id" in columns else "id") for table, columns in tables_of_users(url).items()]
    made = Deleted(url, services, user_id, token, keys, ids, tables)
    assert 0 not in made.rows().values()
    for service in services:
        assert service.signed_in(token).get(ACCOUNT).status == 200
        assert service.signed_in(keys["account"]).get(ACCOUNT).status == 200
    assert user.post(f"{ACCOUNT}/deletion", {"password": PASSWORD}).status == 204
    return made


every_operation = pytest.mark.parametrize("operation", SECURED, ids=[operation.name for operation in SECURED])


@every_operation
def test_every_operation_with_the_token_of_a_deleted_account_is_unauthorized(
    operation: SecuredOperation, deleted: Deleted
) -> None:
    for ids in (deleted.ids, UNKNOWN):
        deleted.refused_by_all(operation, deleted.token, ids)


@every_operation
@pytest.mark.parametrize("tag", ["*", '"1"'])
def test_every_operation_on_a_condition_with_the_token_of_a_deleted_account_is_unauthorized(
    operation: SecuredOperation, deleted: Deleted, tag: str
) -> None:
    condition = "If-None-Match" if operation.method in ("GET", "HEAD") else "If-Match"
    deleted.refused_by_all(operation, deleted.token, deleted.ids, headers={condition: tag})


@every_operation
def test_every_operation_with_a_kept_reply_and_the_token_of_a_deleted_account_is_unauthorized(
    operation: SecuredOperation, deleted: Deleted
) -> None:
    """The reply to createTask was kept under this key until the end; nothing is kept of the refusals."""
    headers = {"Idempotency-Key": '"before-the-end"'}
    deleted.refused_by_all(operation, deleted.token, deleted.ids, headers=headers)


@every_operation
def test_every_operation_with_a_key_of_any_scope_of_a_deleted_account_is_unauthorized(
    operation: SecuredOperation, deleted: Deleted
) -> None:
    for key in deleted.keys.values():
        deleted.refused_by_all(operation, key, deleted.ids)
