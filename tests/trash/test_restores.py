"""What comes back from the trash is as it was, but for version and time, and keeps to the rules that hold meanwhile."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from tests.support.client import Client, Reply
from tests.support.rows import rows
from tests.support.tasks import create, path
from tests.support.trash import PROJECTS, TRASH, project, restore, trashed
from tests.support.trees import chain, wrong
from todo_api.models import MOST_PROJECTS
from todo_api.task_labels.statements import MOST_LABELS
from todo_api.task_tree import DEEPEST, MOST_CHILDREN

ACCOUNT = "/api/v1/me/account"
CHANGES = "/api/v1/me/changes"
TASKS = "/api/v1/me/tasks"
NEW = {"version", "updated_at"}
"""Members of what has come back that are others than before."""

RICH: dict[str, Any] = {
    "description": "Straße",
    "priority": "urgent",
    "links": [{"url": "https://oats.example/", "title": "Oats"}],
    "labels": ["Home", "errand"],
    "due": {"date": "2026-11-20", "time": "09:00", "time_zone": "Europe/Berlin"},
    "start": {"date": "2026-11-19"},
}


def listed(client: Client, *, new: bool = False) -> dict[str, dict[str, Any]]:
    """Return every task of a user, by id."""
    found = client.get(f"{TASKS}?sort=position&limit=1000").json()["items"]
    return {task["id"]: {name: task[name] for name in task if new or name not in NEW} for task in found}


def stored(url: str, user_id: str) -> list[Any]:
    """Return the rows of tasks, projects and labels of a user, without what is new."""
    found = []
    for table in ("tasks", "projects", "task_labels"):
        row = "to_jsonb(t) - '{version,updated_at}'::text[]"
        found += rows(url, f"SELECT '{table}', {row} FROM {table} t WHERE user_id = '{user_id}' ORDER BY ({row})::text")
    return found


def refused(reply: Reply) -> tuple[int, str]:
    return reply.status, reply.code


def tree(client: Client) -> list[dict[str, Any]]:
    """Return a new tree in a project: a rich root, two below it, and three below these. One is completed, one moved."""
    root = create(client, "Bücher", project_id=project(client)["id"], **RICH)
    children = [create(client, f"child {number}", parent_id=root["id"], labels=["HOME"]) for number in range(2)]
    leaves = [create(client, "leaf", parent_id=children[0]["id"], due={"date": "2026-11-21"}) for _ in range(3)]
    assert client.patch(f"{path(leaves[1])}/complete").status == 200
    assert client.patch(path(leaves[0]), {"status": "in_progress"}).status == 200
    assert client.post(f"{path(children[1])}/move", {"at": "first"}).status == 200
    return [root, *children, *leaves]


@pytest.mark.parametrize("number", [0, 1, 3])
def test_restore_item_of_a_task_brings_all_below_back_as_it_was(ada: Client, direct: str, number: int) -> None:
    made = tree(ada)
    create(ada, "beside", labels=["home"])
    user_id, before, rows_before = made[0]["user_id"], listed(ada), stored(direct, made[0]["user_id"])
    total = ada.get(TASKS).json()["total"]
    assert ada.delete(path(made[number])).status == 204
    assert wrong(direct, made[0]) == []
    gone = [*trashed(direct, user_id)]
    reply = restore(ada, made[number])
    assert reply.status == 200
    told = reply.json()
    assert (told["project"], told["task"]) == (None, ada.get(path(made[number])).json())
    assert listed(ada) == before
    assert stored(direct, user_id) == rows_before
    assert (trashed(direct, user_id), wrong(direct, made[0]), ada.get(TASKS).json()["total"]) == ({}, [], total)
    now = listed(ada, new=True)
    assert (
        {now[id_]["version"] for id_ in gone} == {told["task"]["version"]} == {max(t["version"] for t in now.values())}
    )
    assert {now[id_]["updated_at"] for id_ in gone} == {told["task"]["updated_at"]}


def test_restore_item_of_a_project_brings_its_tasks_back_as_they_were(ada: Client, direct: str) -> None:
    made = tree(ada)
    garden, user_id = ada.get(f"{PROJECTS}/{made[0]['project_id']}").json(), made[0]["user_id"]
    before, rows_before = listed(ada), stored(direct, user_id)
    ((count,),) = rows(direct, f"SELECT projects FROM users WHERE id = '{user_id}'")
    assert ada.delete(f"{PROJECTS}/{garden['id']}").status == 204
    reply = restore(ada, garden)
    assert reply.status == 200
    told = reply.json()
    assert (told["task"], told["project"]) == (None, ada.get(f"{PROJECTS}/{garden['id']}").json())
    assert {**garden, **dict.fromkeys(NEW)} == {**told["project"], **dict.fromkeys(NEW)}
    assert (listed(ada), stored(direct, user_id), trashed(direct, user_id)) == (before, rows_before, {})
    assert {task["version"] for task in listed(ada, new=True).values()} == {told["project"]["version"]}
    assert rows(direct, f"SELECT projects FROM users WHERE id = '{user_id}'") == [(count,)]
    assert wrong(direct, made[0]) == []


def test_restore_item_comes_again_in_the_feed(ada: Client) -> None:
    line = chain(ada, 2)
    since = ada.get(CHANGES).json()["next"]
    assert ada.delete(path(line[0])).status == 204
    page = ada.get(f"{CHANGES}?since={since}").json()
    assert {each["id"] for each in page["deleted"]} == {task["id"] for task in line}
    assert restore(ada, line[0]).status == 200
    for token in (since, page["next"]):
        told = ada.get(f"{CHANGES}?since={token}").json()
        assert ({task["id"]: task for task in told["tasks"]}, told["deleted"]) == (listed(ada, new=True), [])


def test_restore_item_of_what_went_along_or_is_there_is_404(ada: Client, bob: Client) -> None:
    line, garden = chain(ada, 3), project(ada)
    inside = create(ada, project_id=garden["id"])
    assert ada.delete(path(line[1])).status == 204
    assert ada.delete(f"{PROJECTS}/{garden['id']}").status == 204
    for client, item in ((ada, line[0]), (ada, line[2]), (ada, inside), (ada, {"id": str(uuid4())}), (bob, line[1])):
        assert refused(restore(client, item)) == (404, "not_found")
    assert restore(ada, line[1]).status == 200
    assert refused(restore(ada, line[1])) == (404, "not_found")


@pytest.mark.parametrize("goes", ["?permanent=true", ""])
def test_restore_item_of_a_project_that_is_gone_goes_to_the_inbox(ada: Client, direct: str, goes: str) -> None:
    line = chain(ada, 3, project_id=project(ada)["id"])
    assert ada.delete(path(line[0])).status == 204
    assert ada.delete(f"{PROJECTS}/{line[0]['project_id']}{goes}").status == 204
    assert restore(ada, line[0]).json()["task"]["project_id"] is None
    assert {task["project_id"] for task in listed(ada).values()} == {None}
    assert wrong(direct, line[0]) == []


def test_restore_item_below_a_parent_that_has_moved_takes_its_project(ada: Client, direct: str) -> None:
    line, garden = chain(ada, 3), project(ada)
    assert ada.delete(path(line[1])).status == 204
    assert ada.patch(path(line[0]), {"project_id": garden["id"]}).status == 200
    assert restore(ada, line[1]).json()["task"]["project_id"] == garden["id"]
    assert {task["project_id"] for task in listed(ada).values()} == {garden["id"]}
    assert wrong(direct, line[0]) == []


def test_restore_item_below_a_parent_in_the_trash_is_409_until_that_is_back(ada: Client, direct: str) -> None:
    line = chain(ada, 3)
    before = listed(ada)
    for level in (2, 1, 0):
        assert ada.delete(path(line[level])).status == 204
    for level in (2, 1):
        assert refused(restore(ada, line[level])) == (409, "parent_in_trash")
    for level in (0, 1, 2):
        assert restore(ada, line[level]).status == 200
        assert wrong(direct, line[0]) == []
    assert listed(ada) == before


def test_restore_item_below_a_parent_that_is_gone_is_409(ada: Client) -> None:
    line, other = chain(ada, 2), chain(ada, 2)
    for task in (line[1], line[0], other[1]):
        assert ada.delete(path(task)).status == 204
    assert ada.delete(f"{TRASH}/{line[0]['id']}").status == 204
    assert ada.delete(f"{path(other[0])}?permanent=true").status == 204
    for task in (line[1], other[1]):
        assert refused(restore(ada, task)) == (409, "parent_gone")


def test_restore_item_that_were_too_deep_is_409(ada: Client, direct: str) -> None:
    line, above = chain(ada, 4), chain(ada, DEEPEST - 4)
    assert ada.delete(path(line[1])).status == 204
    assert ada.patch(path(line[0]), {"parent_id": above[-1]["id"]}).status == 200
    assert restore(ada, line[1]).status == 200
    assert ada.delete(path(line[1])).status == 204
    deeper = create(ada, parent_id=above[-1]["id"])
    assert ada.patch(path(line[0]), {"parent_id": deeper["id"]}).status == 200
    assert refused(restore(ada, line[1])) == (409, "too_deep")
    assert wrong(direct, line[0]) == []


def test_restore_item_beyond_a_limit_is_409(ada: Client, direct: str) -> None:
    line, garden, labelled = chain(ada, 2), project(ada), create(ada, labels=["one more"])
    user_id = line[0]["user_id"]
    for address in (path(line[1]), path(labelled), f"{PROJECTS}/{garden['id']}"):
        assert ada.delete(address).status == 204
    rows(direct, f"UPDATE tasks SET children = {MOST_CHILDREN} WHERE id = '{line[0]['id']}'")
    rows(direct, f"UPDATE users SET projects = {MOST_PROJECTS} WHERE id = '{user_id}'")
    rows(
        direct,
        f"INSERT INTO task_labels SELECT user_id, id, 'l' || n, 'l' || n, 1 FROM tasks, generate_series(1, {MOST_LABELS}) n"
        f" WHERE id = '{line[0]['id']}'",
    )
    for item, code in ((line[1], "too_many_subtasks"), (garden, "too_many_projects"), (labelled, "too_many_labels")):
        assert refused(restore(ada, item)) == (409, code)
    assert len(trashed(direct, user_id)) == 3
    rows(direct, f"DELETE FROM task_labels WHERE user_id = '{user_id}' AND label_key = 'l1'")
    assert restore(ada, labelled).json()["task"]["labels"] == ["one more"]


def test_restore_item_after_the_zone_has_changed_is_due_there(ada: Client, direct: str) -> None:
    """Its instants are computed anew: those of before are in the row that comes back."""
    dates = {"due": {"date": "2026-11-20"}, "start": {"date": "2026-11-19", "time": "08:00"}}
    root = create(ada, **dates)
    child = create(ada, parent_id=root["id"], **dates)
    assert ada.delete(path(root)).status == 204
    assert ada.patch(ACCOUNT, {"time_zone": "Asia/Tokyo"}).status == 200
    assert restore(ada, root).status == 200
    like = create(ada, **dates)
    found = rows(direct, f"SELECT id::text, due_at, start_at FROM tasks WHERE user_id = '{root['user_id']}'")
    instants = {id_: found for id_, *found in found}
    assert instants[root["id"]] == instants[child["id"]] == instants[like["id"]]
    assert rows(direct, f"SELECT zone_data IS NOT NULL FROM users WHERE id = '{root['user_id']}'") == [(True,)]


def test_restore_item_with_a_column_that_came_later_has_its_default(ada: Client, direct: str) -> None:
    task = create(ada)
    assert ada.delete(path(task)).status == 204
    rows(direct, f"UPDATE trash SET content = content - 'priority' - 'children' WHERE id = '{task['id']}'")
    assert restore(ada, task).json()["task"]["priority"] == "none"
    assert wrong(direct, task) == []


def test_restore_item_of_a_task_and_a_project_of_one_id_brings_the_later_back_first(ada: Client) -> None:
    garden = project(ada)
    task = create(ada, id=garden["id"], project_id=garden["id"])
    assert ada.delete(f"{PROJECTS}/{garden['id']}").status == 204
    assert restore(ada, garden).json()["project"]["id"] == garden["id"]
    assert ada.delete(path(task)).status == 204
    assert ada.delete(f"{PROJECTS}/{garden['id']}").status == 204
    assert restore(ada, garden).json()["project"]["id"] == garden["id"]
    assert restore(ada, garden).json()["task"]["id"] == task["id"]


def test_restore_item_at_the_position_of_another_leaves_room_between_them(ada: Client) -> None:
    first, last = create(ada), create(ada)
    one, other = create(ada), create(ada)
    assert ada.post(f"{path(one)}/move", {"after": first["id"]}).status == 200
    assert ada.delete(path(one)).status == 204
    assert ada.post(f"{path(other)}/move", {"after": first["id"]}).status == 200
    assert restore(ada, one).status == 200
    between = [task["id"] for task in listed(ada).values()][1:3]
    assert {*between} == {one["id"], other["id"]}
    assert ada.post(f"{path(last)}/move", {"after": between[0]}).status == 200
    assert [*listed(ada)] == [first["id"], between[0], last["id"], between[1]]


def test_restore_item_with_a_key_takes_effect_once(ada: Client) -> None:
    task = create(ada)
    assert ada.delete(path(task)).status == 204
    once = {"headers": {"Idempotency-Key": "once"}}
    first, again = restore(ada, task, **once), restore(ada, task, **once)
    assert (first.status, again.status, again.json()) == (200, 200, first.json())
    assert again.headers["idempotency-replayed"] == "true"


WRITES: dict[str, Callable[[Client, dict[str, Any]], Reply]] = {
    "restore": lambda client, item: client.post(f"{TRASH}/{item['id']}/restore?dry_run=true"),
    "purge": lambda client, item: client.delete(f"{TRASH}/{item['id']}?dry_run=true"),
    "empty": lambda client, _: client.delete(f"{TRASH}?dry_run=true"),
}


@pytest.mark.parametrize("write", WRITES)
def test_dry_run_of_the_trash_keeps_nothing(ada: Client, direct: str, write: str) -> None:
    line = chain(ada, 2, labels=["home"])
    assert ada.delete(path(line[0])).status == 204
    user_id, page = line[0]["user_id"], ada.get(TRASH)
    before = stored(direct, user_id), trashed(direct, user_id), page.headers["etag"]
    reply = WRITES[write](ada, line[0])
    assert (reply.status, reply.headers["dry-run"]) == (200 if write == "restore" else 204, "true")
    assert (stored(direct, user_id), trashed(direct, user_id), ada.get(TRASH).headers["etag"]) == before
    if write == "restore":
        assert reply.json()["task"]["version"] == restore(ada, line[0]).json()["task"]["version"]
