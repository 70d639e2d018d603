"""Tasks that a batch creates one after the other: by one statement, as if each were created alone."""

from typing import Any

import pytest

from tests.support.batches import done, new_id, run, stored
from tests.support.client import Client
from tests.support.rows import rows
from tests.support.tasks import create
from tests.support.trees import wrong
from todo_api.models import STATUSES

TASKS, PROJECTS = "/api/v1/me/tasks", "/api/v1/me/projects"
OF_EACH = ("id", "created_at", "updated_at", "completed_at", "position", "version")
"""Members that differ from task to task."""


def test_run_batch_creates_tasks_as_create_task_does(ada: Client, direct: str) -> None:
    project = ada.post(PROJECTS, {"name": "x"}).json()["id"]
    bodies: list[dict[str, Any]] = [
        {"title": "plain"},
        *({"title": status, "status": status} for status in STATUSES),
        {"title": "'; \\ %s \U0001f4a1 \ud55c", "description": 'Two\nlines, "quoted".\t'},
        {
            "title": "all",
            "priority": "urgent",
            "project_id": project.upper(),
            "id": new_id().upper(),
            "completed": True,
        },
        {"title": "links", "links": [{"url": "https://a.example/"}, {"url": "https://b.example/", "title": "B"}]},
        {"title": "none", "links": [], "labels": [], "due": None, "project_id": None, "parent_id": None},
    ]
    seq, made = done(ada, *({"create_task": body} for body in bodies))
    for body, task in zip(bodies, made, strict=True):
        single = ada.post(TASKS, body | ({"id": new_id()} if "id" in body else {})).json()
        assert {k: v for k, v in task.items() if k not in OF_EACH} == {
            k: v for k, v in single.items() if k not in OF_EACH
        }
        assert (task["completed_at"] is None) == (single["completed_at"] is None)
        assert task["updated_at"] == task["created_at"]
        assert task["completed_at"] in (None, task["created_at"])  # by its status, as was just compared
        assert task["version"] == seq
        assert ada.get(f"{TASKS}/{task['id']}").json() == task
    assert made[6]["id"] == bodies[6]["id"].lower()
    assert wrong(direct, made[0]) == []


def test_run_batch_creates_tasks_in_the_order_of_their_operations(ada: Client) -> None:
    first = create(ada, "first")
    _, made = done(ada, *({"create_task": {"title": str(n)}} for n in range(100)))
    last = create(ada, "last")
    for sort in ("position", "created_at"):
        listed = ada.get(f"{TASKS}?sort={sort}&limit=200").json()["items"]
        assert [each["id"] for each in listed] == [each["id"] for each in (first, *made, last)]
    times = [each["created_at"] for each in (first, *made, last)]
    assert times == sorted({*times})


def test_run_batch_creates_tasks_between_other_writes_under_one_number(ada: Client, direct: str) -> None:
    task = create(ada)
    plain = {"create_task": {"title": "x"}}
    seq, made = done(
        ada,
        *(plain, plain),
        {"update_task": {"id": task["id"], "change": {"title": "y"}}},
        *(plain, plain, plain),
        {"create_task": {"title": "x", "labels": ["one"]}},
        *(plain, plain),
    )
    assert {each["version"] for each in made} == {seq} == {task["version"] + 1}
    assert rows(direct, f"SELECT seq FROM users WHERE id = '{task['user_id']}'") == [(seq,)]
    assert wrong(direct, task) == []


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("fault", ["id", "id twice", "project"])
def test_run_batch_that_cannot_create_one_of_several_tasks_creates_none(
    ada: Client, direct: str, place: int, fault: str
) -> None:
    task = create(ada)
    twice = new_id()
    bad = {"id": {"id": task["id"]}, "id twice": {"id": twice}, "project": {"project_id": new_id()}}[fault]
    operations = [{"create_task": {"title": "x"}} for _ in range(2)]
    operations.insert(place, {"create_task": {"title": "x", **bad}})
    if fault == "id twice":
        operations.insert(0, {"create_task": {"title": "x", "id": twice.upper()}})
        place += 1
    before = stored(direct, task["user_id"])
    reply = run(ada, *operations)
    assert (reply.status, reply.json()["operation"]) == (409 if fault == "id" else 400, place)
    if fault == "id":
        assert reply.json()["current"] == task
    assert stored(direct, task["user_id"]) == before


def test_run_batch_creates_tasks_in_a_project_that_it_creates(ada: Client) -> None:
    project = new_id()
    seq, (_, *made) = done(
        ada,
        {"create_project": {"id": project, "name": "x"}},
        *({"create_task": {"title": str(n), "project_id": project}} for n in range(3)),
    )
    assert [(each["title"], each["project_id"], each["version"]) for each in made] == [
        (str(n), project, seq) for n in range(3)
    ]
