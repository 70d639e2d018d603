"""The order of locks: a write takes the user's row before the task, so transactions of several writes meet no deadlock."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any
from uuid import uuid4

import psycopg2
import pytest

from tests.support.client import Client, Reply
from tests.support.locks import somebody_waits
from tests.support.tasks import create, path
from todo_api.database.connection import engine_url
from todo_api.models import USER_ROLE

ROUNDS = 250
"""Writes of each of four writers of single tasks, and of two writers of several."""

WRITES: dict[str, Callable[[Client, str], Reply]] = {
    "replaceTask": lambda user, task: user.put(task, {"title": "x", "status": "in_progress"}),
    "updateTask": lambda user, task: user.patch(task, {"title": uuid4().hex}),
    "updateTask-status": lambda user, task: user.patch(task, {"status": "in_progress"}),
    "updateTask-links": lambda user, task: user.patch(task, {"links": [{"url": f"https://{uuid4().hex}"}]}),
    "updateTask-due": lambda user, task: user.patch(task, {"due": {"date": "2026-11-20"}}),
    "completeTask": lambda user, task: user.patch(f"{task}/complete", {"completed": True}),
    "completeTask-toggle": lambda user, task: user.patch(f"{task}/complete"),
    "moveTask": lambda user, task: user.post(f"{task}/move", {"at": "last"}),
    "revertTask": lambda user, task: user.post(f"{task}/revert", {"version": 1}),
    "deleteTask": lambda user, task: user.delete(task),
}


@contextmanager
def batch(url: str, user_id: str) -> Iterator[Callable[[str], Any]]:
    """Opens a transaction of the user's that holds their row, as one of several writes does, and yields how to write a task."""
    text = engine_url(url).set(drivername="postgresql").render_as_string(False)
    with closing(psycopg2.connect(text)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(
            f"SET LOCAL ROLE {USER_ROLE}; SELECT set_config('app.user_id', %(user)s, true);"
            " SET LOCAL lock_timeout = '10s'; SELECT 1 FROM users WHERE id = %(user)s FOR NO KEY UPDATE",
            {"user": user_id},
        )
        assert cursor.fetchall() == [(1,)]

        def write(task_id: str) -> None:
            cursor.execute("UPDATE tasks SET title = 'x' WHERE user_id = %s AND id = %s", (user_id, task_id))
            assert cursor.rowcount == 1

        yield write


@pytest.mark.parametrize("write", WRITES)
def test_write_beside_a_transaction_of_several_waits_without_a_task(ada: Client, direct: str, write: str) -> None:
    task = create(ada)
    create(ada)
    with ThreadPoolExecutor(1) as pool:
        with batch(direct, task["user_id"]) as write_task:
            single = pool.submit(WRITES[write], ada, path(task))
            assert somebody_waits(direct)
            write_task(task["id"])  # it would wait for who waits for the user's row, had they locked the task
        assert single.result().status == (204 if write == "deleteTask" else 200)


def test_thousand_writes_beside_transactions_of_several_meet_no_deadlock(ada: Client, direct: str) -> None:
    tasks = [create(ada) for _ in range(4)]

    def several(step: int) -> None:
        for _ in range(ROUNDS):
            with batch(direct, tasks[0]["user_id"]) as write_task:
                for task in tasks[::step]:
                    write_task(task["id"])

    def single(number: int) -> list[int]:
        address = path(tasks[number])
        writes = [WRITES[name] for name in ("updateTask", "updateTask-links", "completeTask-toggle", "moveTask")]
        return [writes[(number + turn) % len(writes)](ada, address).status for turn in range(ROUNDS)]

    with ThreadPoolExecutor(6) as pool:
        batches = [pool.submit(several, step) for step in (1, -1)]
        singles = [pool.submit(single, number) for number in range(4)]
        for each in batches:
            each.result()
        assert [status for each in singles for status in each.result()] == [200] * 4 * ROUNDS
