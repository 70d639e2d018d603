"""Writes of more tasks than one statement takes, taken back and restored; and what takes too long, which changes nothing."""

from typing import Any

import pytest

from tests.support.batches import done, stored
from tests.support.client import Client
from tests.support.reversions import ME, PROJECTS, revert, reverted, state
from tests.support.rows import rows
from tests.support.tasks import create, path
from tests.support.trees import chain
from todo_api.past.statements import PAGE
from todo_api.trash import service as trash_service
from todo_api.undo import reversion

TRASH = f"{ME}/trash"


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the machine, only what a test shortens takes too long."""
    monkeypatch.setattr(reversion, "SECONDS", 600)
    monkeypatch.setattr(trash_service, "SECONDS", 600)


def forest(client: Client) -> dict[str, Any]:
    """Return a project with trees of tasks, some of them deep, with labels and dates."""
    project: dict[str, Any] = client.post(PROJECTS, {"name": "Wood"}).json()
    fields = {"project_id": project["id"], "labels": ["oak", "Ash"], "due": {"date": "2026-12-01", "time": "09:00"}}
    for length in (5, 1, 3):
        line = chain(client, length, **fields)
        create(client, "leaf", parent_id=line[-2 if length > 1 else 0]["id"], labels=["leaf"], status="completed")
    return project


def test_restore_item_of_more_tasks_than_one_statement_takes_brings_all_back(
    ada: Client, direct: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trash_service, "AT_ONCE", 2)
    project = forest(ada)
    before = state(ada, direct)
    ada.delete(f"{PROJECTS}/{project['id']}")
    back = ada.post(f"{TRASH}/{project['id']}/restore").json()["project"]
    assert state(ada, direct) == before
    assert {each["version"] for each in ada.get(f"{ME}/tasks").json()["items"]} == {back["version"]}
    assert ada.get(TRASH).json()["items"] == []
    number, count = reverted(ada, back["version"])
    assert (number, count) == (back["version"] + 1, 13)
    assert state(ada, direct)["tasks"] == {}
    reverted(ada, number)
    assert state(ada, direct) == before


def test_restore_item_of_a_subtree_of_more_tasks_than_one_statement_takes(
    ada: Client, direct: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trash_service, "AT_ONCE", 2)
    top, root, *_ = chain(ada, 5, labels=["oak"])
    create(ada, "leaf", parent_id=root["id"], labels=["leaf"])
    before = state(ada, direct)
    ada.delete(path(root))
    assert ada.post(f"{TRASH}/{root['id']}/restore").status == 200
    assert state(ada, direct) == before
    assert ada.get(path(top)).status == 200


def test_revert_change_of_more_tasks_than_a_page_of_history_has(ada: Client, direct: str) -> None:
    create(ada, labels=["small"])
    user = ada.get(f"{ME}/account").json()["id"]
    count = PAGE + 50
    columns = "user_id, id, title, status, created_at, updated_at, version, first_version, position, labels"
    rows(
        direct,
        f"""INSERT INTO tasks ({columns}) SELECT '{user}', gen_random_uuid(), 'Task ' || n, 'pending', now(), now(), 1, 1,
            'm' || lpad(to_hex(n), 13, '0'), '["Big"]' FROM generate_series(1, {count}) n;
        INSERT INTO task_labels SELECT user_id, id, 'big', 'Big', 1 FROM tasks WHERE user_id = '{user}' AND version = 1
            AND labels = '["Big"]';
        UPDATE users SET pending = pending + {count} WHERE id = '{user}'""",
    )
    before = state(ada, direct)
    seq = ada.patch(f"{ME}/labels/big", {"name": "huge"}).json()["version"]
    after = state(ada, direct)
    assert reverted(ada, seq) == (seq + 1, count)
    assert state(ada, direct) == before
    assert reverted(ada, seq + 1) == (seq + 2, count)
    assert state(ada, direct) == after


@pytest.mark.parametrize("kind", ["changed", "deleted"])
def test_revert_change_that_takes_too_long_is_unavailable_and_changes_nothing(
    ada: Client, direct: str, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    task, other = create(ada), create(ada)
    change = {"update_task": {"id": task["id"], "change": {"title": "S"}}}
    seq, _ = done(ada, change if kind == "changed" else {"delete_task": {"id": other["id"]}})
    now = stored(direct, task["user_id"])
    with monkeypatch.context() as patch:
        patch.setattr(reversion, "SECONDS", -1)
        reply = revert(ada, seq, headers={"Idempotency-Key": "slow"})
        assert (reply.status, reply.json()["code"]) == (503, "unavailable")
        assert "more than" in reply.json()["detail"]
        assert stored(direct, task["user_id"]) == now
    assert revert(ada, seq, headers={"Idempotency-Key": "slow"}).json() == {"seq": seq + 1, "count": 1}


def test_restore_item_that_takes_too_long_is_unavailable_and_stays_in_the_trash(
    ada: Client, direct: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = forest(ada)
    ada.delete(f"{PROJECTS}/{project['id']}")
    user = ada.get(f"{ME}/account").json()["id"]
    now = stored(direct, user)
    with monkeypatch.context() as patch:
        patch.setattr(trash_service, "SECONDS", -1)
        reply = ada.post(f"{TRASH}/{project['id']}/restore")
        assert (reply.status, reply.json()["code"]) == (503, "unavailable")
        assert stored(direct, user) == now
    assert ada.post(f"{TRASH}/{project['id']}/restore").status == 200


def test_revert_change_counts_labels_and_subtasks_once_all_is_put_back(ada: Client, direct: str) -> None:
    """Labels that come back take the place of those that go, in whatever order."""
    tasks = [create(ada, labels=[f"old {number}"]) for number in range(3)]
    user = tasks[0]["user_id"]
    other = create(ada)
    rows(
        direct,
        "INSERT INTO task_labels (user_id, task_id, label_key, name, version)"
        f" SELECT '{user}', '{other['id']}', 'label ' || n, 'label ' || n, 1 FROM generate_series(1, 497) n",
    )
    seq, _ = done(
        ada,
        *({"update_task": {"id": each["id"], "change": {"labels": []}}} for each in tasks),
        *({"update_task": {"id": each["id"], "change": {"labels": [f"new {n}"]}}} for n, each in enumerate(tasks)),
    )
    assert reverted(ada, seq)[1] == 3
    assert [ada.get(path(each)).json()["labels"] for each in tasks] == [[f"old {n}"] for n in range(3)]
