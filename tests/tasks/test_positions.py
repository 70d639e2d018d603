"""The position of a task: what it is at first, who may write it, and lists that are sorted by it."""

from datetime import datetime
from typing import Any

import pytest

from tests.support.client import Client
from tests.support.tasks import create, path

TASKS = "/api/v1/me/tasks"


def in_order(client: Client, query: str = "") -> list[dict[str, Any]]:
    """The tasks by position, a page of two at a time."""
    found: list[dict[str, Any]] = []
    cursor = ""
    while cursor is not None:
        page = client.get(f"{TASKS}?sort=position&limit=2{query}" + (f"&cursor={cursor}" if cursor else "")).json()
        found += page["items"]
        cursor = page["next_cursor"]
    return found


@pytest.mark.parametrize("more", [{}, {"due": {"date": "2026-11-20"}}, {"id": "01932c07-9f7a-7c1d-b6a1-000000000001"}])
def test_create_task_has_the_microseconds_of_its_creation_as_position(ada: Client, more: dict[str, Any]) -> None:
    task = create(ada, **more)
    since = datetime.fromisoformat(task["created_at"]) - datetime.fromisoformat("1970-01-01T00:00:00Z")
    microseconds = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
    assert task["position"] == f"m{microseconds:013x}"
    assert ada.get(path(task)).json() == task


def test_list_tasks_by_position_of_new_tasks_is_by_creation(ada: Client) -> None:
    made = [create(ada, f"{number}", status=status) for number in range(3) for status in ("pending", "cancelled")]
    assert in_order(ada) == made
    assert in_order(ada, "&status=cancelled") == made[1::2]
    assert in_order(ada, "&q=1") == made[2:4]


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_write_of_a_position_is_refused(ada: Client, method: str) -> None:
    address = TASKS if method == "POST" else path(create(ada))
    reply = ada.request(method, address, json_body={"title": "x", "position": "m0000000000000"})
    assert reply.status == 400
    assert [(each["pointer"], each["code"]) for each in reply.json()["errors"]] == [("/position", "read_only")]


def test_replace_task_ignores_a_position(ada: Client) -> None:
    task = create(ada)
    assert ada.put(path(task), {"title": "x", "position": "m0000000000000"}).json()["position"] == task["position"]


@pytest.mark.parametrize("write", ["PATCH", "PUT", "complete"])
def test_write_of_a_task_keeps_its_position(ada: Client, write: str) -> None:
    task = create(ada)
    method, below = (write, "") if write != "complete" else ("PATCH", "/complete")
    body = None if below else {"title": "x"}
    assert ada.request(method, path(task) + below, json_body=body).json()["position"] == task["position"]


def test_list_tasks_by_falling_position_is_refused(ada: Client) -> None:
    assert ada.get(f"{TASKS}?sort=-position").status == 400
