"""Dry runs beside writes: each waits its turn, tells what is there then, and leaves no number, no lock and no session behind."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Barrier
from typing import Any

import psycopg2
import pytest

from tests.support.client import Client, Reply
from tests.support.locks import somebody_waits, waiting
from tests.support.rows import rows, superuser_url
from tests.support.tasks import create, path

TASKS = "/api/v1/me/tasks"
DRY = "?dry_run=true"
EACH = 25
"""How many requests each of eight clients sends."""


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


@pytest.fixture
def other(direct: str) -> Iterator[Any]:
    """A session that is in the way: what it has locked stays locked until it commits."""
    with closing(psycopg2.connect(superuser_url(direct))) as session:
        yield session.cursor()


def test_update_task_dry_that_waits_for_a_write_tells_what_is_there_after_it(
    ada: Client, other: Any, direct: str, pool: ThreadPoolExecutor
) -> None:
    task = create(ada)
    other.execute("SELECT 1 FROM users WHERE id = %s FOR UPDATE", [task["user_id"]])
    trying = pool.submit(ada.patch, f"{path(task)}{DRY}", {"description": "Tried"})
    assert somebody_waits(direct)
    other.execute("UPDATE users SET seq = seq + 5 WHERE id = %s", [task["user_id"]])
    other.execute("UPDATE tasks SET title = 'Meanwhile', version = 6 WHERE user_id = %s", [task["user_id"]])
    other.connection.commit()
    dry = trying.result(60).json()
    assert (dry["title"], dry["description"], dry["version"]) == ("Meanwhile", "Tried", 7)
    after = ada.get(path(task)).json()
    assert (after["title"], after["description"], after["version"]) == ("Meanwhile", None, 6)


def test_update_task_dry_whose_session_ends_as_it_waits_is_unavailable_and_keeps_nothing(
    ada: Client, other: Any, direct: str, pool: ThreadPoolExecutor
) -> None:
    task = create(ada)
    other.execute("SELECT 1 FROM users WHERE id = %s FOR UPDATE", [task["user_id"]])
    trying = pool.submit(ada.patch, f"{path(task)}{DRY}", {"title": "Tried"})
    assert somebody_waits(direct)
    for session in waiting(direct):
        rows(direct, f"SELECT pg_terminate_backend({session})")
    lost = trying.result(60)
    assert (lost.status, lost.code, lost.headers["dry-run"]) == (503, "unavailable", "true")
    other.connection.commit()
    assert ada.get(path(task)).json() == task
    assert ada.patch(f"{path(task)}{DRY}", {"title": "Tried"}).json()["version"] == 2


def test_dry_runs_beside_writes_take_no_number_and_are_in_nobodys_way(
    ada: Client, direct: str, pool: ThreadPoolExecutor
) -> None:
    """Four clients write and four try, all at once: as many numbers are taken as there were writes."""
    task = create(ada)
    gate = Barrier(8)
    tried: list[Callable[[], Reply]] = [
        lambda: ada.post(f"{TASKS}{DRY}", {"title": "Tried", "parent_id": task["id"], "labels": ["tried"]}),
        lambda: ada.patch(f"{path(task)}{DRY}", {"title": "Tried"}),
        lambda: ada.patch(f"{path(task)}/complete{DRY}", {"completed": True, "subtasks": "complete"}),
        lambda: ada.delete(f"{path(task)}{DRY}"),
    ]

    def run(number: int) -> list[int]:
        gate.wait(60)
        if number < len(tried):
            return [tried[number]().status for _ in range(EACH)]
        body = {"title": f"Of {number}", "parent_id": task["id"]}
        return [ada.post(TASKS, body).status for _ in range(EACH)]

    statuses = [*pool.map(run, range(8))]
    assert statuses == [[201] * EACH, [200] * EACH, [200] * EACH, [204] * EACH, *[[201] * EACH] * 4]
    written = 4 * EACH
    state = (
        "SELECT seq, pending, completed, (SELECT count(*) FROM tasks WHERE user_id = users.id),"
        " (SELECT children FROM tasks WHERE user_id = users.id AND parent_id IS NULL),"
        f" (SELECT count(*) FROM task_labels WHERE user_id = users.id) FROM users WHERE id = '{task['user_id']}'"
    )
    assert rows(direct, state) == [(written + 1, written + 1, 0, written + 1, written, 0)]
    versions = sorted(each["version"] for each in ada.get(f"{TASKS}?limit=1000").json()["items"])
    assert versions == [*range(1, written + 2)]
