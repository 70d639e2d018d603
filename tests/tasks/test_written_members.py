"""Members of a task that a client may write, and those that the server sets."""

from typing import Any

import pytest

from tests.support.client import Client
from tests.support.tasks import create, path
from todo_api import contract
from todo_api.models import STATUSES

TASKS = "/api/v1/me/tasks"
ID = "01932c07-9f7a-7c1d-b6a1-5a2f0f5d1c3e"
SERVER_SET = {
    "id": ID,
    "user_id": "bob",
    "completed_at": None,
    "created_at": "2026-11-20T09:30:00Z",
    "updated_at": "2026-11-20T09:30:00Z",
    "created_by": {"kind": "token", "id": None, "name": None},
    "version": 7,
}
KNOWN = contract.load(contract.TASK_API)["components"]["schemas"]["TaskInput"]["properties"]
FROM_FALSE = {"pending": "pending", "in_progress": "in_progress", "completed": "pending", "cancelled": "cancelled"}


def in_status(user: Client, status: str) -> dict[str, Any]:
    task: dict[str, Any] = user.post(TASKS, {"title": "Buy milk", "description": "oat", "status": status}).json()
    return task


SECONDS = {"date": "2026-11-20", "time": "09:00:00"}


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({"completed": True}, "completed"),
        ({"completed": False}, "pending"),
        ({"completed": True, "status": "completed"}, "completed"),
        ({"completed": False, "status": "in_progress"}, "in_progress"),
        ({"completed": False, "status": "cancelled"}, "cancelled"),
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_write_of_completed_sets_the_status(ada: Client, method: str, sent: dict[str, Any], status: str) -> None:
    target = TASKS if method == "POST" else path(create(ada))
    reply = ada.request(method, target, json_body=({} if method == "PATCH" else {"title": "x"}) | sent)
    task = reply.json()
    assert reply.status == (201 if method == "POST" else 200)
    assert (task["status"], task["completed"]) == (status, status == "completed")
    assert (task["completed_at"] is not None) == task["completed"]
    assert ada.get(path(task)).json() == task


@pytest.mark.parametrize("before", STATUSES)
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_write_of_completed_false_reopens_a_completed_task_alone(ada: Client, method: str, before: str) -> None:
    task = in_status(ada, before)
    body = {"title": "Buy milk", "completed": False} if method == "PUT" else {"completed": False}
    after = ada.request(method, path(task), json_body=body).json()
    assert (after["status"], after["completed_at"]) == (FROM_FALSE[before], None)
    assert after["description"] == ("oat" if method == "PATCH" else None)
    listed = ada.get(f"{TASKS}?status={after['status']}").json()
    assert (listed["total"], listed["items"]) == (1, [after])


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_write_of_completed_true_to_a_cancelled_task_is_409(ada: Client, method: str) -> None:
    task = in_status(ada, "cancelled")
    reply = ada.request(method, path(task), json_body={"title": "x", "completed": True})
    assert (reply.status, reply.code, reply.json()["to"]) == (409, "invalid_transition", "completed")
    assert ada.get(path(task)).json() == task


@pytest.mark.parametrize("completed", [True, False])
def test_update_task_with_completed_at_an_old_version_is_412(ada: Client, completed: bool) -> None:
    task = in_status(ada, "in_progress")
    reply = ada.request("PATCH", path(task), json_body={"completed": completed}, headers={"If-Match": '"0"'})
    assert (reply.status, reply.json()["current"]) == (412, task)


@pytest.mark.parametrize("member", SERVER_SET)
@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_write_of_a_member_that_the_server_sets_is_refused(ada: Client, method: str, member: str) -> None:
    if (method, member) == ("POST", "id"):  # a client may make the id of a new task
        return
    task = create(ada)
    target = TASKS if method == "POST" else path(task)
    reply = ada.request(method, target, json_body={"title": "x", member: SERVER_SET[member]})
    (error,) = reply.json()["errors"]
    assert (reply.status, error["pointer"], error["code"]) == (400, f"/{member}", "read_only")
    assert error["detail"] == "Is set by the server."
    assert ada.get(path(task)).json() == task


@pytest.mark.parametrize("status", STATUSES)
def test_replace_task_with_what_get_task_gave_changes_nothing(ada: Client, status: str) -> None:
    task = in_status(ada, status)
    after = ada.request("PUT", path(task), json_body=ada.get(path(task)).json()).json()
    assert after == task


def test_replace_task_ignores_what_the_server_sets(ada: Client) -> None:
    task = create(ada)
    sent = SERVER_SET | {"title": "x", "created_at": "2026-11-20T09:30:00.1234567+01:00"}
    after = ada.request("PUT", path(task), json_body=sent).json()
    kept = ("id", "user_id", "created_at", "completed_at")
    assert {name: after[name] for name in kept} == {name: task[name] for name in kept}
    assert (after["title"], after["version"]) == ("x", task["version"] + 1)


def test_contract_says_of_every_member_of_a_reply_whether_it_may_be_written() -> None:
    """Members that another operation changes (`email`) are no exception of the server: they are unknown, and not read-only."""
    document = contract.load(contract.TASK_API)
    schemas = document["components"]["schemas"]
    told, checked = {"email"}, set()
    for reply, request in (
        ("Task", "TaskInput"),
        ("Task", "TaskPatch"),
        ("Account", "AccountPatch"),
        ("NewApiKey", "ApiKeyInput"),
        ("Project", "ProjectInput"),
        ("Project", "ProjectPatch"),
    ):
        written, read_only = set(schemas[request]["properties"]), set(schemas[request]["x-read-only"])
        assert not written & read_only
        assert set(schemas[reply]["properties"]) - told == (written | read_only) - told
        checked.add(request)
    assert checked == {name for name, schema in schemas.items() if "x-read-only" in schema} - {"Registration"}


@pytest.mark.parametrize(
    ("body", "code", "detail"),
    [
        ({"title": ""}, "pattern", "Must contain a visible character."),
        ({"title": " \u200b"}, "pattern", "Must contain a visible character."),
        ({"title": "a\nb"}, "pattern", "Must be one line, without control characters."),
        ({"title": "x", "description": "\x00"}, "pattern", "Must not contain control characters other than line breaks and tabs."),
        ({"title": "x", "due": SECONDS}, "pattern", "Must be a time such as 17:30, from 00:00 to 23:59."),
        ({"title": "x", "id": f"{ID}0"}, "format", "Must be a UUID, such as 018f4e2a-6c3b-7d1e-9a5f-2b7c8d9e0f1a."),
        ({"title": "x", "due_at": 1}, "unknown", f"Is not a known member. Known are: {', '.join(KNOWN)}."),
        ({"title": "x", "completed": True, "status": "pending"}, "conflicting", "Must agree with status."),
    ],
)  # fmt: skip
def test_create_task_with_one_mistake_is_told_of_it_once_and_in_words_that_help(
    ada: Client, body: dict[str, Any], code: str, detail: str
) -> None:
    (error,) = ada.post(TASKS, body).json()["errors"]
    assert (error["code"], error["detail"]) == (code, detail)


@pytest.mark.parametrize("email", ["", "a", "ada", "ada@", "ada@example", "ada example.com"])
def test_register_account_with_a_bad_address_is_told_once_what_it_must_be(anonymous: Client, email: str) -> None:
    reply = anonymous.post("/api/v1/auth/register", {"email": email, "password": "correct horse battery"})
    (error,) = reply.json()["errors"]
    assert (error["pointer"], error["detail"]) == ("/email", "Must be an e-mail address.")
