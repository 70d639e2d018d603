"""Deletions taken back, and creations: what went to the trash comes back as it was, and goes there again."""

from typing import Any

import pytest

from tests.support.batches import done, new_id, stored
from tests.support.client import Client
from tests.support.reversions import ME, PROJECTS, batch_of_a_hundred, conflicts, revert, reverted, state
from tests.support.rows import rows
from tests.support.tasks import create, path
from tests.support.trees import chain
from todo_api.batch import service
from todo_api.undo import reversion

FULL: dict[str, Any] = {
    "description": "All of it.",
    "priority": "low",
    "labels": ["Home", "garden"],
    "links": [{"url": "https://pack.example/", "title": None}],
    "due": {"date": "2026-12-01", "time": "09:00"},
    "start": {"date": "2026-11-30"},
}


def last(client: Client) -> int:
    """Return the number of the user's last write, from the tag of a list."""
    return int(client.get(f"{ME}/tasks").headers["etag"].strip('"').split("-")[-1])


def test_revert_change_of_a_deleted_subtree_brings_it_back_and_deletes_it_again(ada: Client, direct: str) -> None:
    above, parent, child = chain(ada, 3, **FULL)
    create(ada, parent_id=child["id"], status="completed", labels=["home"])
    create(ada, parent_id=above["id"])
    before = state(ada, direct)
    ada.delete(path(parent))
    seq, after = last(ada), state(ada, direct)
    number, count = reverted(ada, seq)
    assert (number, count) == (seq + 1, 3)
    assert state(ada, direct) == before
    assert ada.get(path(child)).json()["version"] == number
    assert reverted(ada, seq) == (number, 0)
    again, count = reverted(ada, number)
    assert (again, count) == (number + 1, 3)
    assert state(ada, direct) == after
    reverted(ada, again)
    assert state(ada, direct) == before
    assert last(ada) == again + 1


def test_revert_change_of_a_deleted_project_brings_its_tasks_back(ada: Client, direct: str) -> None:
    project = ada.post(PROJECTS, {"name": "Mine", "color": "#2f6f4e"}).json()
    parent, _ = chain(ada, 2, project_id=project["id"], **FULL)
    create(ada, project_id=project["id"], status="cancelled")
    before = state(ada, direct)
    ada.delete(f"{PROJECTS}/{project['id']}")
    seq, after = last(ada), state(ada, direct)
    number, count = reverted(ada, seq)
    assert (number, count) == (seq + 1, 4)
    assert state(ada, direct) == before
    reverted(ada, number)
    assert state(ada, direct) == after
    assert ada.get(path(parent)).status == 404


def test_revert_change_of_a_creation_and_of_that_brings_it_back(ada: Client, direct: str) -> None:
    project, task = new_id(), new_id()
    seq, _ = done(
        ada,
        {"create_project": {"id": project, "name": "New"}},
        {"create_task": {"id": task, "title": "new", "project_id": project, "labels": ["new"]}},
        {"update_task": {"id": task, "change": {"title": "changed"}}},
        {"create_task": {"title": "below", "parent_id": task}},
    )
    after = state(ada, direct)
    number, count = reverted(ada, seq)
    assert count == 3
    assert state(ada, direct)["tasks"] == {}
    again, count = reverted(ada, number)
    assert (again, count) == (seq + 2, 3)
    assert state(ada, direct) == after
    assert reverted(ada, seq)[1] == 3


def test_revert_change_that_changed_what_it_deleted(ada: Client, direct: str) -> None:
    parent, child = chain(ada, 2, labels=["old"])
    project = ada.post(PROJECTS, {"name": "Mine"}).json()["id"]
    inside = create(ada, project_id=project)
    before = state(ada, direct)
    seq, _ = done(
        ada,
        {"update_task": {"id": child["id"], "change": {"title": "changed", "labels": ["new"]}}},
        {"delete_task": {"id": child["id"]}},
        {"update_task": {"id": parent["id"], "change": {"title": "changed"}}},
        {"delete_task": {"id": parent["id"]}},
        {"delete_task": {"id": inside["id"]}},
        {"update_project": {"id": project, "change": {"name": "changed"}}},
        {"delete_project": {"id": project}},
    )
    after = state(ada, direct)
    number, count = reverted(ada, seq)
    assert (number, count) == (seq + 1, 4)
    assert state(ada, direct) == before
    reverted(ada, number)
    assert state(ada, direct) == after


def test_revert_change_of_what_a_batch_created_and_deleted_leaves_it_in_the_trash(ada: Client) -> None:
    task, other = new_id(), create(ada)
    seq, _ = done(
        ada,
        {"create_task": {"id": task, "title": "new"}},
        {"delete_task": {"id": task}},
        {"update_task": {"id": other["id"], "change": {"title": "changed"}}},
    )
    assert reverted(ada, seq)[1] == 1
    assert ada.get(f"{ME}/tasks/{task}").status == 404


def test_revert_change_of_a_deletion_whose_way_back_is_gone_is_a_conflict(ada: Client, direct: str) -> None:
    (parent, child), other = chain(ada, 2), create(ada)
    seq, _ = done(ada, {"delete_task": {"id": child["id"]}}, {"delete_task": {"id": other["id"]}})
    ada.delete(path(parent))
    before = stored(direct, parent["user_id"])
    expected = [(child["id"], ["/parent_id"])]
    assert conflicts(revert(ada, seq)) == expected
    assert stored(direct, parent["user_id"]) == before
    assert reverted(ada, seq, {"force": True})[1] == 1
    assert ada.get(path(other)).status == 200
    ada.post(f"{ME}/trash/{parent['id']}/restore")
    assert reverted(ada, seq)[1] == 1


def test_revert_change_of_a_deletion_of_what_came_back_and_was_deleted_since_is_a_conflict(ada: Client) -> None:
    task = create(ada)
    ada.delete(path(task))
    seq = last(ada)
    assert ada.post(f"{ME}/trash/{task['id']}/restore").status == 200
    ada.delete(path(task))
    assert conflicts(revert(ada, seq)) == [(task["id"], [])]
    assert reverted(ada, seq + 2)[1] == 1


def test_revert_change_of_a_deleted_project_with_a_task_of_its_id_brings_both_back(ada: Client, direct: str) -> None:
    project = ada.post(PROJECTS, {"name": "Mine"}).json()
    create(ada, id=project["id"], project_id=project["id"])
    before = state(ada, direct)
    ada.delete(f"{PROJECTS}/{project['id']}")
    assert reverted(ada, last(ada))[1] == 2
    assert state(ada, direct) == before


@pytest.mark.parametrize("way", ["purged", "permanent"])
def test_revert_change_of_a_deletion_for_good_is_a_conflict(ada: Client, way: str) -> None:
    task = create(ada)
    ada.delete(path(task) + ("?permanent=true" if way == "permanent" else ""))
    seq = last(ada)
    if way == "purged":
        assert ada.delete(f"{ME}/trash/{task['id']}").status == 204
    assert conflicts(revert(ada, seq)) == [(task["id"], [])]
    assert reverted(ada, seq, {"force": True})[1] == 0


def test_revert_change_of_a_restoration_deletes_it_again(ada: Client, direct: str) -> None:
    parent, child = chain(ada, 2)
    ada.delete(path(parent))
    before = state(ada, direct)
    seq = ada.post(f"{ME}/trash/{parent['id']}/restore").json()["task"]["version"]
    ada.patch(path(child), {"title": "Mine"})
    assert conflicts(revert(ada, seq)) == [(child["id"], ["/title"])]
    assert reverted(ada, seq, {"force": True})[1] == 0
    ada.patch(path(child), {"title": child["title"]})
    assert conflicts(revert(ada, seq)) == [(child["id"], ["/title"])]
    again = ada.delete(path(parent))
    assert again.status == 204
    seq = ada.post(f"{ME}/trash/{parent['id']}/restore").json()["task"]["version"]
    assert reverted(ada, seq) == (seq + 1, 2)
    assert state(ada, direct) == before


def test_revert_change_of_a_batch_of_a_hundred_with_deletions_and_of_that(
    ada: Client, direct: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "SECONDS", 600)
    monkeypatch.setattr(reversion, "SECONDS", 600)
    operations = batch_of_a_hundred(ada)
    tasks = [each["id"] for each in ada.get(f"{ME}/tasks?sort=created_at&limit=100").json()["items"]]
    project = ada.get(PROJECTS).json()["items"][1]["id"]
    operations[90:] = [{"delete_task": {"id": each}} for each in (tasks[17], tasks[22], tasks[20])]
    operations += [{"delete_project": {"id": project}}]
    before = state(ada, direct)
    seq, _ = done(ada, *operations)
    after = state(ada, direct)
    number, _ = reverted(ada, seq)
    assert number == seq + 1
    assert state(ada, direct) == before
    again, _ = reverted(ada, number)
    assert again == seq + 2
    assert state(ada, direct) == after
    reverted(ada, again)
    assert state(ada, direct) == before
    assert rows(direct, "SELECT count(*) FROM tasks WHERE version > first_version") != [(0,)]


def test_revert_change_of_a_deletion_brings_back_the_kind_that_it_deleted(ada: Client) -> None:
    """A task and a project may have one id."""
    id_ = new_id()
    ada.post(PROJECTS, {"name": "Project", "id": id_})
    create(ada, "Task", id=id_)
    ada.delete(f"{PROJECTS}/{id_}")
    seq = last(ada)
    ada.delete(f"{ME}/tasks/{id_}")
    assert reverted(ada, seq)[1] == 1
    assert [ada.get(f"{address}/{id_}").status for address in (PROJECTS, f"{ME}/tasks")] == [200, 404]
    assert reverted(ada, seq + 1)[1] == 1
    assert ada.get(f"{ME}/tasks/{id_}").json()["title"] == "Task"


def test_revert_change_spares_what_has_the_id_of_something_deleted_for_good(ada: Client, direct: str) -> None:
    id_ = new_id()
    old = create(ada, "Old", id=id_)
    changed = ada.patch(path(old), {"title": "New", "labels": ["old"]}).json()["version"]
    ada.delete(path(old))
    restored = ada.post(f"{ME}/trash/{id_}/restore").json()["task"]["version"]
    ada.delete(f"{path(old)}?permanent=true")
    new = create(ada, "New", id=id_, labels=["old"])
    now = stored(direct, new["user_id"])
    for seq, expected in ((changed, [(id_, [])]), (restored - 1, [(id_, [])])):
        assert conflicts(revert(ada, seq)) == expected
        assert reverted(ada, seq, {"force": True})[1] == 0
    for seq in (old["version"], restored):
        assert (reply := revert(ada, seq)).status == 404 or reply.json()["count"] == 0
    assert stored(direct, new["user_id"]) == now
    assert reverted(ada, new["version"])[1] == 1


def test_revert_change_of_a_creation_whose_changes_are_not_kept_is_a_conflict(ada: Client, direct: str) -> None:
    task, other = create(ada), create(ada)
    ada.patch(path(task), {"title": "Mine"})
    rows(direct, f"DELETE FROM history WHERE user_id = '{task['user_id']}'")
    assert conflicts(revert(ada, task["version"])) == [(task["id"], [])]
    assert reverted(ada, task["version"], {"force": True})[1] == 0
    assert ada.get(path(task)).json()["title"] == "Mine"
    assert reverted(ada, other["version"])[1] == 1
