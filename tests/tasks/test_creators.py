"""Who created a task: the credential of the request, with the name that an API key had then, for as long as the task is there."""

from typing import Any

import pytest

from tests.support.batches import done, new_id
from tests.support.client import Client
from tests.support.credentials import own_issuer
from tests.support.rows import rows
from tests.support.tasks import create, path
from tests.support.token_kinds import TOKEN_KINDS, new_token
from tests.support.trash import restore

TASKS = "/api/v1/me/tasks"
SYSTEM = {"kind": "system", "id": None, "name": None}
OPERATOR = {"kind": "token", "id": None, "name": None}

EXPECTED = {
    "operator": "SELECT 'token', NULL, NULL",
    "account": "SELECT 'token', id::text, NULL FROM sessions WHERE user_id = '{user}'",
    "key": "SELECT 'api_key', id::text, name FROM api_keys WHERE user_id = '{user}'",
}
"""Kind, id and name of the credential of a user, by the kind of their token."""

CREATIONS: dict[str, dict[str, Any]] = {
    "a title": {},
    "priority and links": {"priority": "high", "links": [{"url": "https://oats.example/", "title": None}]},
    "completed": {"status": "completed"},
    "an id": {"id": "01932c07-9f7a-7c1d-b6a1-5a2f0f5d1c3e"},
    "dates and labels": {"due": {"date": "2026-11-20"}, "labels": ["home"]},
}
"""Bodies that are written by statements of their own."""


@pytest.fixture(params=TOKEN_KINDS)
def maker(request: pytest.FixtureRequest, anonymous: Client, direct: str, password_hash: str) -> Client:
    """A new user with a token of each kind."""
    return anonymous.signed_in(new_token(direct, own_issuer(), request.param, password_hash))


@pytest.fixture
def keyed(anonymous: Client, direct: str, password_hash: str) -> Client:
    """A new user with an API key."""
    return anonymous.signed_in(new_token(direct, own_issuer(), "key", password_hash))


@pytest.fixture
def credential(maker: Client, direct: str, request: pytest.FixtureRequest) -> dict[str, Any]:
    """What is told of the token of `maker`."""
    user = create(maker, "First")["user_id"]
    ((kind, id_, name),) = rows(direct, EXPECTED[request.node.callspec.params["maker"]].format(user=user))
    return {"kind": kind, "id": id_, "name": name}


def creator(client: Client, task: dict[str, Any]) -> dict[str, Any]:
    """Return who created a task, as each operation that shows it tells."""
    read: dict[str, Any] = client.get(path(task)).json()
    assert read in client.get(TASKS).json()["items"]
    assert read in client.get(f"{TASKS}?limit=1000&sort=title").json()["items"]  # measured before it is read
    assert read in client.get("/api/v1/me/changes").json()["tasks"]
    found: dict[str, Any] = read["created_by"]
    return found


@pytest.mark.parametrize("body", CREATIONS.values(), ids=CREATIONS)
def test_create_task_tells_the_credential(maker: Client, credential: dict[str, Any], body: dict[str, Any]) -> None:
    task = create(maker, **body)
    assert task["created_by"] == creator(maker, task) == credential


def test_create_task_below_another_tells_the_credential(maker: Client, credential: dict[str, Any]) -> None:
    task = create(maker, parent_id=create(maker)["id"])
    assert task["created_by"] == creator(maker, task) == credential


def test_run_batch_tells_the_credential_of_each_task(maker: Client, credential: dict[str, Any]) -> None:
    bodies = [{}, {}, {"labels": ["home"]}, {"id": new_id()}]
    _, results = done(maker, *({"create_task": {"title": "x", **body}} for body in bodies))
    for result in results:
        assert result["created_by"] == creator(maker, result) == credential


def test_create_task_with_a_key_that_is_revoked_later_keeps_its_name(keyed: Client, direct: str) -> None:
    task = create(keyed)
    other = keyed.signed_in(own_issuer().issue(task["user_id"]))
    rows(direct, f"UPDATE api_keys SET name = 'Nightly backup 2' WHERE user_id = '{task['user_id']}'")
    assert create(keyed)["created_by"]["name"] == "Nightly backup 2"
    rows(direct, f"DELETE FROM api_keys WHERE user_id = '{task['user_id']}'")
    assert creator(other, task) == task["created_by"]
    assert task["created_by"]["name"] == "Theirs"


def test_task_keeps_its_creator_whoever_writes_it(keyed: Client) -> None:
    task = create(keyed)
    other = keyed.signed_in(own_issuer().issue(task["user_id"]))
    assert task["created_by"]["kind"] == "api_key"
    for reply in (
        other.patch(path(task), {"title": "x"}),
        other.put(path(task), {"title": "y"}),
        other.put(path(task), {**task, "created_by": OPERATOR}),
        other.patch(f"{path(task)}/complete"),
        other.post(f"{path(task)}/revert", {"version": task["version"]}),
        other.post(f"{path(task)}/move", {"parent_id": create(other)["id"]}),
    ):
        assert (reply.status, reply.json()["created_by"]) == (200, task["created_by"])
    assert other.delete(path(task)).status == 204
    assert restore(other, task).json()["task"]["created_by"] == creator(other, task) == task["created_by"]
    assert create(other)["created_by"] == OPERATOR


def test_task_of_the_release_before_is_of_the_system_and_stays_so(ada: Client, direct: str) -> None:
    """That release names nobody, beside this one or before it."""
    user = create(ada)["user_id"]
    ((id_,),) = rows(
        direct,
        "INSERT INTO tasks (user_id, id, title, status, created_at, updated_at, version)"
        f" VALUES ('{user}', gen_random_uuid(), 'x', 'pending', now(), now(), 9) RETURNING id::text",
    )
    rows(direct, f"UPDATE users SET pending = pending + 1, seq = 9 WHERE id = '{user}'")
    task = ada.get(f"{TASKS}/{id_}").json()
    assert creator(ada, task) == SYSTEM
    assert ada.delete(path(task)).status == 204
    assert restore(ada, task).json()["task"]["created_by"] == creator(ada, task) == SYSTEM


def test_create_task_dry_tells_the_credential(maker: Client, credential: dict[str, Any]) -> None:
    reply = maker.post(f"{TASKS}?dry_run=true", {"title": "x"})
    assert (reply.status, reply.json()["created_by"]) == (201, credential)
