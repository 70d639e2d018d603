"""How a task's status may change: the words of `design/api.md`, written out again here, in every operation that changes it."""

from typing import Any

import pytest

from tests.support.client import Client
from tests.support.tasks import create, path

STATUSES = ["pending", "in_progress", "completed", "cancelled"]

ALLOWED = {
    ("pending", "in_progress"),
    ("pending", "completed"),
    ("pending", "cancelled"),
    ("in_progress", "pending"),
    ("in_progress", "completed"),
    ("in_progress", "cancelled"),
    ("completed", "pending"),
    ("completed", "in_progress"),
    ("cancelled", "pending"),
    *((status, status) for status in STATUSES),
}
REFUSED = sorted({(source, target) for source in STATUSES for target in STATUSES} - ALLOWED)

by_put_and_patch = pytest.mark.parametrize("method", ["PUT", "PATCH"])


def problem(reply: Any, source: str, target: str) -> dict[str, Any]:
    return {
        "type": "/problems/invalid_transition",
        "title": "Invalid transition",
        "status": 409,
        "detail": f"A task that is {source} cannot become {target}.",
        "code": "invalid_transition",
        "request_id": reply.headers["x-request-id"],
        "from": source,
        "to": target,
        "allowed": [status for status in STATUSES if (source, status) in ALLOWED],
    }


@by_put_and_patch
@pytest.mark.parametrize(("source", "target"), sorted(ALLOWED))
def test_status_change_that_is_allowed_is_made(ada: Client, method: str, source: str, target: str) -> None:
    """To itself it changes nothing, and is not written."""
    task = create(ada, status=source)
    reply = ada.request(method, path(task), json_body={"title": "Buy milk", "status": target})
    changed = reply.json()
    completed_at = (task["completed_at"] or changed["updated_at"]) if target == "completed" else None
    assert reply.status == 200
    assert changed == task | {
        "status": target,
        "completed": target == "completed",
        "completed_at": completed_at,
        "updated_at": changed["updated_at"],
        "version": 1 if source == target else 2,
    }
    assert source != target or changed == task


@by_put_and_patch
@pytest.mark.parametrize(("source", "target"), REFUSED)
def test_status_change_that_is_not_allowed_is_refused(ada: Client, method: str, source: str, target: str) -> None:
    task = create(ada, status=source)
    reply = ada.request(method, path(task), json_body={"title": "Other", "status": target})
    assert (reply.status, reply.json()) == (409, problem(reply, source, target))
    assert ada.get(path(task)).json() == task


@pytest.mark.parametrize("source", [source for source in STATUSES if (source, "completed") in ALLOWED])
def test_complete_task_from_status_that_can_be_completed_completes(ada: Client, source: str) -> None:
    task = create(ada, status=source)
    assert ada.patch(f"{path(task)}/complete", {"completed": True}).json()["status"] == "completed"


@pytest.mark.parametrize("body", [None, {"completed": True}])
def test_complete_task_that_is_cancelled_is_refused(ada: Client, body: dict[str, bool] | None) -> None:
    task = create(ada, status="cancelled")
    reply = ada.patch(f"{path(task)}/complete", body)
    assert (reply.status, reply.json()) == (409, problem(reply, "cancelled", "completed"))
    assert ada.get(path(task)).json() == task


def test_replace_task_that_is_cancelled_without_status_makes_it_pending(ada: Client) -> None:
    task = create(ada, status="cancelled")
    assert ada.put(path(task), {"title": "Again"}).json()["status"] == "pending"


@by_put_and_patch
def test_status_change_with_stale_version_and_wrong_target_tells_of_the_version(ada: Client, method: str) -> None:
    task = create(ada, status="cancelled")
    body = {"title": "Other", "status": "completed"}
    reply = ada.request(method, path(task), json_body=body, headers={"If-Match": '"99"'})
    assert (reply.status, reply.code) == (412, "precondition_failed")


@by_put_and_patch
def test_status_change_with_right_version_and_wrong_target_tells_of_the_target(ada: Client, method: str) -> None:
    task = create(ada, status="cancelled")
    body = {"title": "Other", "status": "completed"}
    reply = ada.request(method, path(task), json_body=body, headers={"If-Match": '"1"'})
    assert (reply.status, reply.code) == (409, "invalid_transition")
