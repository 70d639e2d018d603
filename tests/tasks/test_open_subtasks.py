"""Completing a task with open subtasks: refused, unless the client says what becomes of them."""

from typing import Any

import pytest

from tests.support.client import Client, Reply
from tests.support.tasks import create, path
from tests.support.trees import chain, wrong
from todo_api.models import STATUSES

TASKS = "/api/v1/me/tasks"
WAYS: dict[str, tuple[str, str, Any]] = {
    "set": ("PATCH", "/complete", {"completed": True}),
    "toggle": ("PATCH", "/complete", None),
    "patch": ("PATCH", "", {"status": "completed"}),
    "patch completed": ("PATCH", "", {"completed": True, "title": "x"}),
    "put": ("PUT", "", {"title": "x", "status": "completed"}),
}


def tree(client: Client) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return a task and those below it: of each status one child and one grandchild."""
    top = create(client)
    children = [create(client, parent_id=top["id"], status=status) for status in STATUSES]
    grandchildren = [create(client, parent_id=children[2]["id"], status=status) for status in STATUSES]
    return top, [*children, *grandchildren]


def complete(client: Client, task: dict[str, Any], **body: Any) -> Reply:
    """Return the reply to a completion."""
    return client.patch(f"{path(task)}/complete", {"completed": True, **body})


def now(client: Client, tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the tasks as they are."""
    return [client.get(path(task)).json() for task in tasks]


@pytest.mark.parametrize("way", WAYS)
def test_complete_task_with_open_subtasks_is_refused_in_every_way(ada: Client, direct: str, way: str) -> None:
    top, below = tree(ada)
    method, address, body = WAYS[way]
    tag = ada.get(TASKS).headers["etag"]
    reply = ada.request(method, path(top) + address, json_body=body)
    assert (reply.status, reply.code, reply.json()["open"]) == (409, "open_subtasks", 4)
    assert now(ada, [top, *below]) == [top, *below]
    assert ada.get(TASKS).headers["etag"] == tag
    for task in below:
        ada.patch(
            path(task), {"status": "cancelled"} if task["status"] == "in_progress" else {"status": task["status"]}
        )
        if task["status"] == "pending":
            assert ada.patch(f"{path(task)}/complete", {"completed": True}).status == 200
    done = ada.request(method, path(top) + address, json_body=body)
    assert (done.status, done.json()["completed"]) == (200, True)
    assert wrong(direct, top) == []


@pytest.mark.parametrize("subtasks", ["complete", "leave"])
def test_complete_task_to_open_leaves_an_open_one_as_it_is_whatever_becomes_of_subtasks(
    ada: Client, subtasks: str
) -> None:
    top, below = tree(ada)
    reply = ada.patch(f"{path(top)}/complete", {"completed": False, "subtasks": subtasks})
    assert (reply.status, reply.json()) == (200, top)
    assert now(ada, [top, *below]) == [top, *below]


def test_complete_task_with_its_subtasks_is_one_version(ada: Client, direct: str) -> None:
    top, below = tree(ada)
    done = complete(ada, top, subtasks="complete")
    assert (done.status, done.json()["version"]) == (200, max(task["version"] for task in below) + 1)
    assert done.headers["etag"] == f'"{done.json()["version"]}"'
    after = now(ada, [top, *below])
    assert after[0] == done.json()
    for before, task in zip(below, after[1:], strict=True):
        if before["status"] in {"pending", "in_progress"}:
            told = {
                name: done.json()[name] for name in ("status", "completed", "completed_at", "updated_at", "version")
            }
            assert task == before | told
        else:
            assert task == before
    assert wrong(direct, top) == []
    assert complete(ada, top, subtasks="complete").json() == done.json()
    assert complete(ada, top).json() == done.json()


def test_complete_task_that_leaves_its_subtasks_changes_it_alone(ada: Client, direct: str) -> None:
    top, below = tree(ada)
    done = complete(ada, top, subtasks="leave")
    assert (done.status, done.json()["completed"]) == (200, True)
    assert now(ada, below) == below
    assert ada.patch(path(top), {"title": "Stays completed"}).status == 200
    later = complete(ada, top, subtasks="complete").json()
    assert later["version"] == done.json()["version"] + 1  # that of the title
    assert {task["status"] for task in now(ada, below)} == {"completed", "cancelled"}
    assert wrong(direct, top) == []


@pytest.mark.parametrize("subtasks", ["complete", "leave"])
def test_complete_task_with_subtasks_keeps_to_conditions_and_transitions(ada: Client, subtasks: str) -> None:
    top, child = chain(ada, 2)
    address = f"{path(top)}/complete"
    body = {"completed": True, "subtasks": subtasks}
    assert ada.patch(address, body, headers={"If-Match": '"0"'}).status == 412
    cancelled = ada.patch(path(top), {"status": "cancelled"}).json()
    assert ada.patch(address, body).code == "invalid_transition"
    assert now(ada, [top, child]) == [cancelled, child]


def test_complete_task_reopened_with_open_subtasks_leaves_them(ada: Client) -> None:
    top, below = tree(ada)
    complete(ada, top, subtasks="leave")
    reopened = ada.patch(f"{path(top)}/complete", {"completed": False, "subtasks": "complete"})
    assert (reopened.status, reopened.json()["status"]) == (200, "pending")
    assert now(ada, below) == below


def test_complete_task_with_its_subtasks_by_a_repeated_request_does_it_once(ada: Client) -> None:
    top, _ = chain(ada, 2)
    key = {"Idempotency-Key": "k"}
    body = {"completed": True, "subtasks": "complete"}
    first, second = (ada.patch(f"{path(top)}/complete", body, headers=key) for _ in range(2))
    assert first.json() == second.json() == ada.get(path(top)).json()


@pytest.mark.parametrize("subtasks", ["", "all", None, True])
def test_complete_task_with_an_unknown_way_is_refused(ada: Client, subtasks: Any) -> None:
    reply = complete(ada, create(ada), subtasks=subtasks)
    assert (reply.status, reply.json()["errors"][0]["pointer"]) == (400, "/subtasks")
