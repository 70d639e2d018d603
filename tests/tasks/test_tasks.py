"""The tasks of a user: what each operation does when all is well, and what it says where there is no such task."""

from datetime import datetime
from typing import Any
from uuid import UUID

import pytest

from tests.support.client import Client
from tests.support.tasks import create, path
from todo_api.models import STATUSES

MISSING = "/api/v1/me/tasks/01932c07-9f7a-7c1d-b6a1-5a2f0f5d1c3e"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_create_task_with_title_gives_defaults(ada: Client) -> None:
    reply = ada.post("/api/v1/me/tasks", {"title": "Buy milk"})
    task = reply.json()
    assert reply.status == 201
    assert task == {
        "id": task["id"],
        "user_id": task["user_id"],
        "title": "Buy milk",
        "description": None,
        "status": "pending",
        "completed": False,
        "completed_at": None,
        "priority": "none",
        "links": [],
        "due": None,
        "start": None,
        "position": task["position"],
        "project_id": None,
        "labels": [],
        "parent_id": None,
        "created_at": task["created_at"],
        "updated_at": task["created_at"],
        "created_by": task["created_by"],
        "version": 1,
    }
    assert reply.headers["etag"] == '"1"'
    assert reply.headers["location"] == f"/api/v1/me/tasks/{task['id']}"
    assert ada.get(reply.headers["location"]).json() == task


def test_create_task_with_every_member_keeps_them(ada: Client) -> None:
    task = create(ada, "Buy milk", description="Two litres,\n\toat.", status="in_progress")
    assert (task["title"], task["description"], task["status"]) == ("Buy milk", "Two litres,\n\toat.", "in_progress")


def test_create_task_completed_has_completion_time_of_creation(ada: Client) -> None:
    task = create(ada, status="completed")
    assert (task["completed"], task["completed_at"]) == (True, task["created_at"])


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("text", ["Buy  milk", "\u00e9 e\u0301 \U0001f40e", "it's 100%(s) \\n $1 {} --"])
def test_create_task_tells_what_is_stored(ada: Client, status: str, text: str) -> None:
    """The reply is not read from the database, but for what is known there alone."""
    reply = ada.post("/api/v1/me/tasks", {"title": text, "description": f" {text}\n\t", "status": status})
    stored = ada.get(reply.headers["location"])
    assert (reply.status, reply.json(), reply.headers["etag"]) == (201, stored.json(), stored.headers["etag"])


def test_create_task_gives_uuid_of_version_7(ada: Client) -> None:
    assert UUID(create(ada)["id"]).version == 7


def test_create_task_twice_counts_versions_of_the_user(ada: Client, bob: Client) -> None:
    assert [create(ada)["version"], create(ada)["version"], create(bob)["version"]] == [1, 2, 1]


def test_create_task_under_own_id_locates_it_there(ada: Client) -> None:
    user_id = create(ada)["user_id"]
    reply = ada.post(f"/api/v1/{user_id}/tasks", {"title": "Second"})
    assert reply.headers["location"] == f"/api/v1/{user_id}/tasks/{reply.json()['id']}"
    assert ada.get(reply.headers["location"]).json() == reply.json()


def test_get_task_that_exists_gives_it_with_etag(ada: Client) -> None:
    task = create(ada)
    reply = ada.get(path(task))
    assert (reply.status, reply.json()) == (200, task)
    assert (reply.headers["etag"], reply.headers["cache-control"]) == ('"1"', "private, no-cache")


def test_get_task_with_id_in_capitals_finds_it(ada: Client) -> None:
    task = create(ada)
    assert ada.get(f"/api/v1/me/tasks/{task['id'].upper()}").json() == task


def test_replace_task_with_title_alone_sets_defaults(ada: Client) -> None:
    task = create(ada, description="Two litres", status="completed")
    reply = ada.put(path(task), {"title": "Buy oats"})
    replaced = reply.json()
    assert reply.status == 200
    assert replaced == task | {
        "title": "Buy oats",
        "description": None,
        "status": "pending",
        "completed": False,
        "completed_at": None,
        "updated_at": replaced["updated_at"],
        "version": 2,
    }
    assert at(replaced["updated_at"]) > at(task["updated_at"])
    assert reply.headers["etag"] == '"2"'
    assert ada.get(path(task)).json() == replaced


def test_replace_task_with_every_member_sets_them(ada: Client) -> None:
    task = create(ada)
    changes = {"title": "Buy oats", "description": "Rolled", "status": "in_progress"}
    replaced = ada.put(path(task), changes).json()
    assert replaced == task | changes | {"updated_at": replaced["updated_at"], "version": 2}


def test_replace_task_without_title_is_refused(ada: Client) -> None:
    task = create(ada)
    reply = ada.put(path(task), {"description": "Two litres"})
    assert (reply.status, reply.code) == (400, "validation_failed")
    assert [(e["pointer"], e["code"]) for e in reply.json()["errors"]] == [("/title", "required")]
    assert ada.get(path(task)).json() == task


@pytest.mark.parametrize(
    "patch",
    [
        {"title": "Buy oats"},
        {"description": "Other"},
        {"description": None},
        {"status": "in_progress"},
        {"title": "Buy oats", "description": None, "status": "cancelled"},
    ],
)
def test_update_task_with_members_keeps_the_absent(ada: Client, patch: dict[str, str | None]) -> None:
    task = create(ada, description="Two litres")
    reply = ada.patch(path(task), patch)
    updated = reply.json()
    assert (reply.status, reply.headers["etag"]) == (200, '"2"')
    assert updated == task | patch | {"updated_at": updated["updated_at"], "version": 2}
    assert at(updated["updated_at"]) > at(task["updated_at"])
    assert ada.get(path(task)).json() == updated


def test_update_task_of_completed_keeps_its_completion_time(ada: Client) -> None:
    task = create(ada, status="completed")
    updated = ada.patch(path(task), {"title": "Buy oats", "status": "completed"}).json()
    assert (updated["completed"], updated["completed_at"]) == (True, task["completed_at"])


@pytest.mark.parametrize("member", ["title", "status"])
def test_update_task_with_null_where_none_can_be_is_refused(ada: Client, member: str) -> None:
    task = create(ada)
    reply = ada.patch(path(task), {member: None})
    assert (reply.status, reply.code) == (400, "validation_failed")
    assert {e["pointer"] for e in reply.json()["errors"]} == {f"/{member}"}
    assert ada.get(path(task)).json() == task


def test_update_task_with_no_member_is_refused(ada: Client) -> None:
    task = create(ada)
    reply = ada.patch(path(task), {})
    assert reply.status == 400
    assert [(e["pointer"], e["code"]) for e in reply.json()["errors"]] == [("", "too_few")]


def test_complete_task_without_body_toggles(ada: Client) -> None:
    task = create(ada)
    completed = ada.patch(f"{path(task)}/complete").json()
    assert completed == task | {
        "status": "completed",
        "completed": True,
        "completed_at": completed["updated_at"],
        "updated_at": completed["updated_at"],
        "version": 2,
    }
    reopened = ada.patch(f"{path(task)}/complete").json()
    assert reopened == task | {"updated_at": reopened["updated_at"], "version": 3}


@pytest.mark.parametrize("status", ["pending", "in_progress"])
def test_complete_task_with_true_completes(ada: Client, status: str) -> None:
    task = create(ada, status=status)
    reply = ada.patch(f"{path(task)}/complete", {"completed": True})
    assert (reply.status, reply.headers["etag"], reply.json()["status"]) == (200, '"2"', "completed")


def test_complete_task_with_false_reopens(ada: Client) -> None:
    task = create(ada, status="completed")
    reopened = ada.patch(f"{path(task)}/complete", {"completed": False}).json()
    assert (reopened["status"], reopened["completed_at"], reopened["version"]) == ("pending", None, 2)


@pytest.mark.parametrize(
    ("status", "completed"), [("completed", True), ("pending", False), ("in_progress", False), ("cancelled", False)]
)
def test_complete_task_that_is_as_wished_changes_nothing(ada: Client, status: str, completed: bool) -> None:
    task = create(ada, status=status)
    reply = ada.patch(f"{path(task)}/complete", {"completed": completed})
    assert (reply.status, reply.json(), reply.headers["etag"]) == (200, task, '"1"')
    assert ada.get(path(task)).json() == task


def test_delete_task_that_exists_removes_it(ada: Client) -> None:
    task = create(ada)
    reply = ada.delete(path(task))
    assert (reply.status, reply.body, reply.headers["cache-control"]) == (204, b"", "private, no-cache")
    assert "content-type" not in reply.headers
    assert ada.get(path(task)).code == "not_found"


def test_delete_task_twice_is_not_found(ada: Client) -> None:
    task = create(ada)
    ada.delete(path(task))
    assert ada.delete(path(task)).code == "not_found"


REQUESTS = [
    ("GET", "", None),
    ("PUT", "", {"title": "Mine"}),
    ("PATCH", "", {"title": "Mine"}),
    ("PATCH", "/complete", None),
    ("PATCH", "/complete", {"completed": True}),
    ("DELETE", "", None),
]


@pytest.mark.parametrize(("method", "below", "body"), REQUESTS)
@pytest.mark.parametrize("if_match", [None, '"1"', "*"])
def test_task_operation_on_missing_task_is_not_found(
    ada: Client, method: str, below: str, body: Any, if_match: str | None
) -> None:
    headers = {"If-Match": if_match} if if_match and method != "GET" else {}
    reply = ada.request(method, MISSING + below, json_body=body, headers=headers)
    assert reply.status == 404
    assert reply.json() == {
        "type": "/problems/not_found",
        "title": "Not found",
        "status": 404,
        "detail": "There is no such task in your space.",
        "code": "not_found",
        "request_id": reply.headers["x-request-id"],
    }


@pytest.mark.parametrize(("method", "below", "body"), REQUESTS)
def test_task_operation_on_task_of_another_is_not_found(
    ada: Client, bob: Client, method: str, below: str, body: Any
) -> None:
    task = create(ada)
    create(bob)
    reply = bob.request(method, path(task) + below, json_body=body)
    assert (reply.status, reply.code) == (404, "not_found")
    assert ada.get(path(task)).json() == task
