"""Ids that a client makes: they name the task from the beginning, and no second one."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from uuid import uuid4

import pytest

from tests.support.client import Client
from tests.support.tasks import create

TASKS = "/api/v1/me/tasks"


def counted(client: Client) -> int:
    total: int = client.get(TASKS).json()["total"]
    return total


def test_create_task_with_an_id_has_it_and_is_found_by_it(ada: Client) -> None:
    made = str(uuid4())
    reply = ada.post(TASKS, {"id": made, "title": "Buy milk", "status": "completed"})
    task = reply.json()
    assert (reply.status, task["id"], reply.headers["location"]) == (201, made, f"{TASKS}/{made}")
    assert reply.headers["etag"] == f'"{task["version"]}"'
    assert ada.get(f"{TASKS}/{made}").json() == task
    assert task["completed_at"] == task["created_at"] == task["updated_at"]
    assert (counted(ada), ada.get(f"{TASKS}?completed=true").json()["total"]) == (1, 1)


def test_create_task_with_an_id_takes_the_next_number(ada: Client) -> None:
    before = create(ada)
    assert create(ada, id=str(uuid4()))["version"] == before["version"] + 1
    assert create(ada)["version"] == before["version"] + 2


def test_create_task_with_an_id_in_upper_case_is_the_same_id(ada: Client) -> None:
    made = str(uuid4())
    assert create(ada, id=made.upper())["id"] == made
    assert ada.post(TASKS, {"id": made, "title": "x"}).code == "id_taken"


@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "other"}])
def test_create_task_with_an_id_that_is_taken_is_409_with_that_task(ada: Client, headers: dict[str, str]) -> None:
    task = create(ada, id=str(uuid4()))
    tag = ada.get(TASKS).headers["etag"]
    reply = ada.post(TASKS, {"id": task["id"], "title": "Another"}, headers=headers)
    assert (reply.status, reply.code, reply.json()["current"]) == (409, "id_taken", task)
    assert ada.get(f"{TASKS}/{task['id']}").json() == task
    assert (ada.get(TASKS).headers["etag"], counted(ada)) == (tag, 1)


def test_create_task_with_the_id_of_a_deleted_task_is_201(ada: Client) -> None:
    task = create(ada, id=str(uuid4()))
    ada.delete(f"{TASKS}/{task['id']}?permanent=true")
    assert create(ada, id=task["id"])["version"] > task["version"]


def test_create_task_with_an_id_of_another_user_is_201(ada: Client, bob: Client) -> None:
    task = create(ada, id=str(uuid4()), title="Ada's")
    assert create(bob, id=task["id"], title="Bob's")["title"] == "Bob's"
    assert ada.get(f"{TASKS}/{task['id']}").json() == task


@pytest.mark.parametrize(
    ("made", "code"),
    [
        ("00000000-0000-0000-0000-000000000000", "pattern"),
        ("x" * 36, "format"),
        (7, "wrong_type"),
        (None, "wrong_type"),
    ],
)
def test_create_task_with_what_is_no_id_is_400(ada: Client, made: object, code: str) -> None:
    (error,) = ada.post(TASKS, {"id": made, "title": "x"}).json()["errors"]
    assert (error["pointer"], error["code"]) == ("/id", code)


def test_create_task_with_the_greatest_and_the_least_id_is_exported(ada: Client) -> None:
    made = [f"{'0' * 8}-0000-0000-0000-{'0' * 11}1", "f" * 8 + "-ffff-ffff-ffff-" + "f" * 12]
    for each in made:
        create(ada, id=each)
    assert [task["id"] for task in ada.get("/api/v1/me/account/export").json()["tasks"]] == made


def test_create_task_with_one_id_by_ten_at_once_is_201_once(ada: Client) -> None:
    user, made, gate = ada, str(uuid4()), Barrier(10)
    create(user)

    def write(number: int) -> tuple[int, str]:
        gate.wait()
        reply = user.post(TASKS, {"id": made, "title": f"Task {number}"})
        return reply.status, reply.json()["title"] if reply.status == 201 else reply.json()["current"]["title"]

    with ThreadPoolExecutor(10) as pool:
        replies = [*pool.map(write, range(10))]
    assert sorted(status for status, _ in replies) == [201] + [409] * 9
    assert len({title for _, title in replies}) == 1
    assert counted(user) == 2
    assert create(user)["version"] == 3  # who was refused took no number
