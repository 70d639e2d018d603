"""Every write that changes a task or project leaves a row of history, and nothing else does."""

import re
from typing import Any

import pytest

from tests.support.client import Client
from tests.support.every_statement import every_statement
from tests.support.rows import rows
from tests.support.tasks import create, path
from tests.support.trees import chain

PROJECTS = "/api/v1/me/projects"
DUE = {"date": "2026-12-01", "time": "09:00", "time_zone": "Europe/Berlin"}
FIRST, SECOND = "01932c07-9f7a-7c1d-b6a1-5a2f0f5d1c3e", "01932c07-9f7a-7c1d-b6a1-5a2f0f5d1c3f"


def noted(url: str, user_id: str) -> list[tuple[int, str, str, dict[str, Any]]]:
    """Return number, id, action and changes of each row of a user, by number."""
    asked = f"SELECT seq, id::text, action, changes FROM history WHERE user_id = '{user_id}' ORDER BY seq, kind, id"
    return [(seq, id_, action, changes) for seq, id_, action, changes in rows(url, asked)]


def of(url: str, item: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return action and changes of each row of one task or project, by number."""
    asked = f"SELECT action, changes FROM history WHERE id = '{item['id']}' ORDER BY seq"
    return [(action, changes) for action, changes in rows(url, asked)]


def new_project(client: Client, name: str = "House") -> dict[str, Any]:
    made: dict[str, Any] = client.post(PROJECTS, {"name": name}).json()
    return made


def test_create_task_leaves_no_history(ada: Client, direct: str) -> None:
    task = create(ada, due=DUE, labels=["home"], priority="high")
    create(ada, parent_id=task["id"])
    new_project(ada)
    assert noted(direct, task["user_id"]) == []


@pytest.mark.parametrize(
    ("before", "patch", "changes"),
    [
        ({}, {"title": "Boots"}, {"title": ["Buy milk", "Boots"]}),
        ({"description": "x"}, {"description": None}, {"description": ["x", None]}),
        ({}, {"status": "in_progress"}, {"status": ["pending", "in_progress"]}),
        ({}, {"priority": "urgent"}, {"priority": ["none", "urgent"]}),
        ({"labels": ["b", "a"]}, {"labels": []}, {"labels": [["a", "b"], []]}),
        (
            {},
            {"links": [{"url": "https://x.example/"}]},
            {"links": [[], [{"url": "https://x.example/", "title": None}]]},
        ),
        ({}, {"due": DUE}, {"due": [None, DUE]}),
        (
            {"due": DUE},
            {"due": {"time": None}},
            {"due": [DUE, {"date": "2026-12-01", "time": None, "time_zone": None}]},
        ),
        (
            {},
            {"start": {"date": "2026-12-01"}, "title": "x"},
            {"title": ["Buy milk", "x"], "start": [None, {"date": "2026-12-01", "time": None, "time_zone": None}]},
        ),
    ],
)
def test_update_task_notes_each_member_that_changes(
    ada: Client, direct: str, before: dict[str, Any], patch: dict[str, Any], changes: dict[str, Any]
) -> None:
    task = create(ada, **before)
    changed = ada.patch(path(task), patch).json()
    assert noted(direct, task["user_id"]) == [(changed["version"], task["id"], "updated", changes)]
    ((at,),) = rows(
        direct, f"SELECT at = updated_at FROM history JOIN tasks USING (user_id, id) WHERE id = '{task['id']}'"
    )
    assert at


def test_update_task_that_changes_nothing_leaves_no_history(ada: Client, direct: str) -> None:
    task = create(ada, due=DUE)
    assert ada.patch(path(task), {"title": task["title"], "due": DUE}).status == 200
    assert ada.put(path(task), task).json()["version"] == task["version"]
    assert noted(direct, task["user_id"]) == []


def test_complete_task_and_reopen_it_is_noted_as_that(ada: Client, direct: str) -> None:
    task = create(ada)
    done = ada.patch(f"{path(task)}/complete").json()
    ada.patch(f"{path(task)}/complete")
    (completed, first), (reopened, second) = of(direct, task)
    assert (completed, reopened) == ("completed", "reopened")
    assert (first["status"], second["status"]) == (["pending", "completed"], ["completed", "pending"])
    assert [first["completed_at"][0], second["completed_at"][1]] == [None, None]
    assert first["completed_at"][1] == second["completed_at"][0] == done["completed_at"]


def test_complete_task_with_its_subtasks_notes_each_under_one_number(ada: Client, direct: str) -> None:
    line = chain(ada, 3)
    done = ada.patch(f"{path(line[0])}/complete", {"completed": True, "subtasks": "complete"}).json()
    found = noted(direct, line[0]["user_id"])
    assert {(seq, id_, action) for seq, id_, action, _ in found} == {
        (done["version"], task["id"], "completed") for task in line
    }


def test_move_task_to_a_project_notes_all_below_it_as_moved(ada: Client, direct: str) -> None:
    project, line = new_project(ada), chain(ada, 2)
    assert ada.patch(path(line[0]), {"project_id": project["id"]}).status == 200
    assert [action for _, _, action, _ in noted(direct, line[0]["user_id"])] == ["moved"] * 2
    ((_, root),), ((_, child),) = of(direct, line[0]), of(direct, line[1])
    assert root.keys() == {"project_id", "position"}
    assert child == {"project_id": [None, project["id"]]}


def test_move_task_below_another_notes_nothing_of_the_parents(ada: Client, direct: str) -> None:
    parent, task = create(ada), create(ada)
    assert ada.post(f"{path(task)}/move", {"parent_id": parent["id"]}).status == 200
    ((_, id_, action, changes),) = noted(direct, task["user_id"])
    assert (id_, action, changes["parent_id"]) == (task["id"], "moved", [None, parent["id"]])


def test_rename_label_notes_every_task_that_has_it(ada: Client, direct: str) -> None:
    tasks = [create(ada, labels=["home", "x"]) for _ in range(2)]
    create(ada)
    renamed = ada.patch("/api/v1/me/labels/home", {"name": "House"}).json()
    assert noted(direct, tasks[0]["user_id"]) == [
        (renamed["version"], task["id"], "updated", {"labels": [["home", "x"], ["House", "x"]]}) for task in tasks
    ]
    assert ada.delete("/api/v1/me/labels/x").status == 200
    assert of(direct, tasks[1])[1:] == [("updated", {"labels": [["House", "x"], ["House"]]})]


def test_update_project_is_noted(ada: Client, direct: str) -> None:
    first, second = new_project(ada), new_project(ada)
    ada.patch(f"{PROJECTS}/{first['id']}", {"name": "Garden", "color": "#00ff00"})
    ada.post(f"{PROJECTS}/{first['id']}/move", {"after": second["id"]})
    (updated, changes), (moved, place) = of(direct, first)
    assert (updated, changes) == ("updated", {"name": ["House", "Garden"], "color": [None, "#00ff00"]})
    assert (moved, place.keys()) == ("moved", {"position"})
    assert of(direct, second) == []


def test_delete_task_notes_all_below_it_as_trashed(ada: Client, direct: str) -> None:
    line = chain(ada, 3)
    assert ada.delete(path(line[0])).status == 204
    found = noted(direct, line[0]["user_id"])
    assert {(id_, action) for _, id_, action, _ in found} == {(task["id"], "trashed") for task in line}
    assert {seq for seq, *_ in found} == {line[-1]["version"] + 1}


def test_delete_project_notes_it_and_its_tasks_as_trashed(ada: Client, direct: str) -> None:
    project = new_project(ada)
    task = create(ada, project_id=project["id"])
    assert ada.delete(f"{PROJECTS}/{project['id']}").status == 204
    assert of(direct, project) == of(direct, task) == [("trashed", {})]


def test_delete_task_for_good_is_noted_as_deleted(ada: Client, direct: str) -> None:
    task = create(ada)
    assert ada.delete(f"{path(task)}?permanent=true").status == 204
    assert of(direct, task) == [("deleted", {})]


def batch(client: Client, *operations: dict[str, Any]) -> int:
    reply = client.post("/api/v1/me/batch", {"operations": [*operations]})
    assert reply.status == 200, reply.body
    return int(reply.json()["seq"])


def test_run_batch_that_changes_a_task_twice_notes_it_once(ada: Client, direct: str) -> None:
    task = create(ada, description="x")
    seq = batch(
        ada,
        {"update_task": {"id": task["id"], "change": {"title": "One", "description": "y"}}},
        {"update_task": {"id": task["id"], "change": {"title": "Two", "description": "x", "priority": "low"}}},
        {"complete_task": {"id": task["id"]}},
    )
    ((number, _, action, changes),) = noted(direct, task["user_id"])
    assert (number, action, changes.keys()) == (seq, "completed", {"title", "priority", "status", "completed_at"})
    assert (changes["title"], changes["priority"]) == (["Buy milk", "Two"], ["none", "low"])


def test_run_batch_that_changes_what_it_created_notes_nothing(ada: Client, direct: str) -> None:
    user_id = create(ada)["user_id"]
    batch(
        ada,
        {"create_task": {"id": FIRST, "title": "New"}},
        {"update_task": {"id": FIRST, "change": {"title": "Newer"}}},
        {"create_project": {"id": SECOND, "name": "New"}},
        {"move_task": {"id": FIRST, "project_id": SECOND}},
    )
    assert noted(direct, user_id) == []


def test_run_batch_that_changes_a_task_and_deletes_it_notes_it_as_trashed(ada: Client, direct: str) -> None:
    task = create(ada)
    batch(ada, {"update_task": {"id": task["id"], "change": {"title": "x"}}}, {"delete_task": {"id": task["id"]}})
    assert of(direct, task) == [("trashed", {"title": ["Buy milk", "x"]})]


def test_dry_run_leaves_no_history(ada: Client, direct: str) -> None:
    task = create(ada)
    assert ada.patch(f"{path(task)}?dry_run=true", {"title": "x"}).status == 200
    assert ada.delete(f"{path(task)}?dry_run=true").status == 204
    assert noted(direct, task["user_id"]) == []


def test_update_account_with_another_zone_leaves_no_history(user: Any, direct: str) -> None:
    """Instants are computed anew, and no task says anything else."""
    task = create(user.client, due={"date": "2026-12-01"})
    assert user.client.patch("/api/v1/me/account", {"time_zone": "Pacific/Auckland"}).status == 200
    assert noted(direct, task["user_id"]) == []


@pytest.mark.parametrize("member", ["description", "links"])
def test_update_task_with_a_value_above_8_kib_notes_what_is_cut(ada: Client, direct: str, member: str) -> None:
    link = {"url": f"https://x.example/{'a' * 2000}", "title": "t"}
    long = "é" * 4200 if member == "description" else [{**link, "title": str(number)} for number in range(5)]
    task = create(ada)
    ada.patch(path(task), {member: long})
    ada.patch(path(task), {"title": "x"})
    found = rows(direct, f"SELECT cut, changes FROM history WHERE id = '{task['id']}' ORDER BY seq")
    assert [cut for cut, _ in found] == [True, False]
    before, after = found[0][1][member]
    assert (before or None, after) == (None, long[: 2048 if member == "description" else 2])


@pytest.mark.parametrize("octets", [8192, 8193])
def test_update_task_with_a_value_of_8_kib_notes_it_whole(ada: Client, direct: str, octets: int) -> None:
    task = create(ada)
    text = "é" * 4096 + "x" * (octets - 8192)
    ada.patch(path(task), {"description": text})
    ((cut, changes),) = rows(direct, f"SELECT cut, changes FROM history WHERE id = '{task['id']}'")
    assert (cut, changes["description"][1] == text) == ((False, True) if octets == 8192 else (True, False))


def test_run_batch_that_changes_a_task_twice_notes_that_the_first_value_is_cut(ada: Client, direct: str) -> None:
    task = create(ada)
    changes: list[dict[str, Any]] = [{"description": "é" * 4200}, {"title": "x"}]
    batch(ada, *({"update_task": {"id": task["id"], "change": change}} for change in changes))
    assert rows(direct, f"SELECT cut FROM history WHERE id = '{task['id']}'") == [(True,)]


def test_delete_account_takes_its_history_along(ada: Client, direct: str) -> None:
    task = create(ada)
    ada.patch(path(task), {"title": "x"})
    rows(direct, f"DELETE FROM users WHERE id = '{task['user_id']}'")
    assert noted(direct, task["user_id"]) == []


def test_task_that_comes_back_with_its_first_moment_is_noted_as_restored(ada: Client, direct: str) -> None:
    """As from the trash. A create has one moment for both times."""
    task = create(ada)
    assert ada.delete(path(task)).status == 204
    rows(
        direct,
        "INSERT INTO tasks (user_id, id, title, status, created_at, updated_at, version)"
        f" VALUES ('{task['user_id']}', '{task['id']}', 'x', 'pending', '{task['created_at']}', clock_timestamp(), 9)",
    )
    assert of(direct, task) == [("trashed", {}), ("restored", {})]


def test_setting_of_the_action_says_what_is_noted(ada: Client, direct: str) -> None:
    task = create(ada)
    change = f"UPDATE tasks SET title = '{{}}', version = version + 1, updated_at = clock_timestamp() WHERE id = '{task['id']}'"
    rows(direct, f"BEGIN; SET LOCAL app.action = 'reverted'; {change.format('x')}; COMMIT")
    rows(direct, change.format("y"))
    assert [action for action, _ in of(direct, task)] == ["reverted", "updated"]


def test_every_statement_that_changes_a_task_or_a_project_sets_its_version() -> None:
    """Without it nothing would be noted: the triggers are those of that column."""
    changes = [
        assigned
        for statement in every_statement().values()
        for assigned in re.findall(
            r"UPDATE (?:tasks|projects)\b.*? SET (.*?)(?: FROM | WHERE )", statement.sql, re.DOTALL
        )
    ]
    without = {name for one in changes if "version=" not in one for name in re.findall(r"(\w+)=", one)}
    assert without == {"children", "due_at", "start_at"}  # what follows from other things
    assert len(changes) > 15
