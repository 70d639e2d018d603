"""Batches beside other writes, retried, and by callers who are gone meanwhile."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from random import Random
from threading import Barrier
from typing import Any

import pytest

from tests.support.batches import BATCH, done, new_id, run, stored
from tests.support.client import Client
from tests.support.on_loop import on_loop
from tests.support.rows import rows
from tests.support.tasks import create, path
from tests.support.trees import wrong
from tests.support.users import User
from todo_api.batch.schemas import load_batch
from todo_api.batch.service import BatchService
from todo_api.database import Database
from todo_api.errors import Unauthorized
from todo_api.guards import Caller

AT_ONCE = 20
CHANGES = "/api/v1/me/changes"
NOBODYS = "01932c07-9f7a-7c1d-b6a1-5a2f0f5d1c3e"


def mixed(random: Random, ids: list[str]) -> list[dict[str, Any]]:
    """Return operations on the tasks in an order of their own, each of which can be run."""
    chosen = random.sample(ids, 5)
    kinds = [
        {"update_task": {"id": chosen[0], "change": {"title": new_id()}}},
        {"move_task": {"id": chosen[1], "at": random.choice(["first", "last"])}},
        {"complete_task": {"id": chosen[2], "completed": random.random() < 0.5}},
        {"update_task": {"id": chosen[3], "change": {"labels": [new_id()[:8]]}}},
        {"create_task": {"title": "new", "parent_id": chosen[4]}},
    ]
    random.shuffle(kinds)
    return kinds


def test_run_batch_twenty_times_beside_single_writes_never_deadlocks(
    ada: Client, direct: str, caplog: pytest.LogCaptureFixture
) -> None:
    """In any other order of locks some would wait for each other, and one of them fail."""
    random = Random(5)  # noqa: S311  # it makes no secret
    ids = [create(ada, str(n))["id"] for n in range(10)]
    first = ada.get(path({"id": ids[0]})).json()
    together = Barrier(2 * AT_ONCE)

    def batch(operations: list[dict[str, Any]]) -> int:
        together.wait(60)
        reply = run(ada, *operations)
        # A completion is refused where a batch before it has left an open subtask. On a slow machine the last ones wait
        # for the user's row for as long as a statement may take, and write nothing.
        assert reply.status in (200, 409, 503), reply.content  # as was just said
        return int(reply.json()["seq"]) if reply.status == 200 else 0

    def single(id_: str) -> int:
        together.wait(60)
        reply = ada.patch(path({"id": id_}), {"title": new_id()})
        assert reply.status in (200, 503), reply.content  # as above
        return int(reply.json()["version"]) if reply.status == 200 else 0

    with ThreadPoolExecutor(2 * AT_ONCE) as pool:
        running = [pool.submit(batch, mixed(random, ids)) for _ in range(AT_ONCE)]
        running += [pool.submit(single, random.choice(ids)) for _ in range(AT_ONCE)]
        numbers = [each.result() for each in running]
    assert "deadlock" not in caplog.text
    written = [number for number in numbers if number]
    assert written
    assert sorted(written) == list(range(first["version"] + 10, first["version"] + 10 + len(written)))
    assert wrong(direct, first) == []


def test_run_batch_again_with_the_same_key_runs_once(ada: Client, direct: str) -> None:
    task = create(ada)
    operations = [{"create_task": {"title": "x"}}, {"complete_task": {"id": task["id"]}}]
    key = {"Idempotency-Key": new_id()}
    first = run(ada, *operations, headers=key)
    before = stored(direct, task["user_id"])
    again = run(ada, *operations, headers=key)
    assert (again.status, again.json(), again.headers["idempotency-replayed"]) == (200, first.json(), "true")
    assert stored(direct, task["user_id"]) == before
    assert run(ada, *operations[:1], headers=key).code == "idempotency_key_reused"


def test_run_batch_that_failed_runs_again_with_the_same_key(ada: Client, direct: str) -> None:
    task = create(ada)
    key, new = {"Idempotency-Key": new_id()}, new_id()
    operations = [{"create_task": {"title": "x"}}, {"delete_task": {"id": new}}]
    before = stored(direct, task["user_id"])
    assert run(ada, *operations, headers=key).status == 404
    assert stored(direct, task["user_id"]) == before
    create(ada, id=new)
    assert run(ada, *operations, headers=key).status == 200
    assert ada.get(path({"id": new})).status == 404


OPERATIONS: dict[str, list[dict[str, Any]]] = {
    "create": [{"create_task": {"title": "x"}}],
    "create several": [{"create_task": {"title": "x"}}] * 2,
    "update": [{"update_task": {"id": NOBODYS, "version": 1, "change": {"title": "x"}}}],
    "delete": [{"delete_project": {"id": NOBODYS}}],
    "remove": [{"remove_label": {"label": "none"}}],
}


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("gone", ["key", "account"])
def test_run_batch_by_a_caller_who_is_gone_meanwhile_is_refused_alike(
    user: User, database: Database, direct: str, name: str, gone: str
) -> None:
    before = stored(direct, user.id)
    key = str(uuid.uuid4()) if gone == "key" else None
    user_id = user.id if gone == "key" else new_id()

    @on_loop
    def refused() -> str:
        batch = BatchService(database, user_id, Caller(registered=True, key=key))
        with pytest.raises(Unauthorized) as error:
            batch.run(load_batch({"operations": OPERATIONS[name]}))
        return str(error.value.cause)

    assert refused() == ("key_unknown" if gone == "key" else "account deleted")
    assert stored(direct, user.id) == before
    assert rows(direct, f"SELECT 1 FROM users WHERE id = '{user_id}' AND id != '{user.id}'") == []


def test_run_batch_by_a_key_that_may_only_read_is_forbidden(user: User) -> None:
    made = user.client.post("/api/v1/me/keys", {"name": "x", "scopes": ["tasks:read"]}).json()
    reply = user.client.signed_in(made["key"]).post(BATCH, {"operations": [{"create_task": {"title": "x"}}]})
    assert (reply.status, reply.code) == (403, "insufficient_scope")
    assert user.client.get("/api/v1/me/tasks").json()["total"] == 0


def test_list_changes_after_a_batch_tells_all_of_it_under_its_number(ada: Client) -> None:
    changed, deleted, again = create(ada, "changed"), create(ada, "deleted"), create(ada, "again")
    assert ada.delete(f"{path(again)}?permanent=true").status == 204
    project = ada.post("/api/v1/me/projects", {"name": "deleted"}).json()
    since = ada.get(CHANGES).json()["next"]
    new = new_id()
    seq, _ = done(
        ada,
        {"create_task": {"id": new, "title": "new"}},
        {"update_task": {"id": changed["id"], "change": {"title": "x"}}},
        {"delete_task": {"id": deleted["id"]}},
        {"create_task": {"id": again["id"], "title": "again"}},
        {"delete_project": {"id": project["id"]}},
    )
    told = ada.get(f"{CHANGES}?since={since}").json()
    assert {(each["id"], each["version"]) for each in told["tasks"]} == {
        (id_, seq) for id_ in (new, changed["id"], again["id"])
    }
    assert {(each["kind"], each["id"], each["version"]) for each in told["deleted"]} == {
        ("task", deleted["id"], seq),
        ("project", project["id"], seq),
    }
