"""A write that changes nothing is no write: the task keeps its version, and lists their tag."""

from typing import Any

import pytest

from tests.support.client import Client
from tests.support.tasks import create, path

WHOLE: dict[str, Any] = {
    "title": "Buy mílk",
    "description": "Two litres,\n\toat.",
    "status": "in_progress",
    "priority": "high",
    "links": [{"url": "https://a.example/x", "title": None}, {"url": "http://b", "title": "B"}],
    "due": {"date": "2026-11-20", "time": "17:30", "time_zone": "Europe/Berlin"},
    "start": {"date": "2026-11-19", "time": None, "time_zone": None},
    "labels": ['a "quoted" \\ one', "Größe", "home"],
}
OTHER: dict[str, Any] = {
    "title": "Buy oats",
    "description": None,
    "status": "pending",
    "priority": "none",
    "links": [],
    "due": None,
    "start": {"date": "2026-11-18", "time": None, "time_zone": None},
    "labels": ['a "quoted" \\ one', "Größe", "Home"],
}
"""By member another value than that of WHOLE."""


@pytest.fixture
def task(ada: Client) -> dict[str, Any]:
    project = ada.post("/api/v1/me/projects", {"name": "Kitchen"}).json()["id"]
    parent = create(ada, project_id=project)["id"]
    return create(ada, **WHOLE, project_id=project, parent_id=parent)


def unwritten(client: Client, task: dict[str, Any], method: str, body: dict[str, Any] | None, below: str = "") -> None:
    tag = client.get("/api/v1/me/tasks").headers["etag"]
    reply = client.request(method, path(task) + below, json_body=body)
    assert (reply.status, reply.json(), reply.headers["etag"]) == (200, task, f'"{task["version"]}"')
    assert client.get("/api/v1/me/tasks").headers["etag"] == tag


@pytest.mark.parametrize("member", [*WHOLE, "project_id", "parent_id", "completed"])
def test_update_task_with_what_it_has_writes_nothing(ada: Client, task: dict[str, Any], member: str) -> None:
    unwritten(ada, task, "PATCH", {member: task[member]})


def test_update_task_with_all_that_it_has_writes_nothing(ada: Client, task: dict[str, Any]) -> None:
    unwritten(ada, task, "PATCH", {member: task[member] for member in [*WHOLE, "project_id", "parent_id"]})
    unwritten(ada, task, "PATCH", {"due": {"date": "2026-11-20"}, "start": {}})


NOTHING = {"description": None, "links": [], "priority": "none", "due": None, "start": None, "project_id": None}


@pytest.mark.parametrize("member", NOTHING)
def test_update_task_with_the_nothing_that_it_has_writes_nothing(ada: Client, member: str) -> None:
    unwritten(ada, create(ada), "PATCH", {member: NOTHING[member]})


def test_replace_task_with_the_whole_task_writes_nothing(ada: Client, task: dict[str, Any]) -> None:
    unwritten(ada, task, "PUT", task)
    unwritten(ada, task, "PUT", {member: task[member] for member in ("title", "description", "status")})


@pytest.mark.parametrize("completed", [True, False])
def test_complete_task_that_is_so_writes_nothing(ada: Client, completed: bool) -> None:
    task = create(ada, completed=completed)
    for body, below in (({"completed": completed}, "/complete"), ({"completed": completed}, "")):
        unwritten(ada, task, "PATCH", body, below)


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
@pytest.mark.parametrize("member", OTHER)
def test_write_of_one_member_that_differs_is_written(
    ada: Client, task: dict[str, Any], method: str, member: str
) -> None:
    body = {each: task[each] for each in WHOLE} | {member: OTHER[member]}
    reply = ada.request(method, path(task), json_body=body)
    assert (reply.status, reply.json()[member], reply.json()["version"]) == (200, OTHER[member], task["version"] + 1)
    assert ada.get(path(task)).json() == reply.json()


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_write_of_nothing_at_an_old_version_fails_the_precondition(
    ada: Client, task: dict[str, Any], method: str
) -> None:
    body = {member: task[member] for member in WHOLE}
    reply = ada.request(method, path(task), json_body=body, headers={"If-Match": f'"{task["version"] - 1}"'})
    assert (reply.status, reply.json()["current"]) == (412, task)
    reply = ada.request(method, path(task), json_body=body, headers={"If-Match": f'"{task["version"]}"'})
    assert (reply.status, reply.json()) == (200, task)
