"""Writes that another writer beats: a task is then written under the lock of its user, the account is tried again."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any

import psycopg2
import pytest

from tests.support.client import Client, Reply
from tests.support.gate import SLACK
from tests.support.processes import soon
from tests.support.rows import rows, superuser_url
from tests.support.users import User

ATTEMPTS = 5
TASKS = "/api/v1/me/tasks"
ACCOUNT = "/api/v1/me/account"

WRITES: dict[str, tuple[str, Callable[[Client, str, dict[str, str]], Reply]]] = {
    "updateTask": ("UPDATE ON users", lambda ada, task, sent: ada.patch(task, {"title": "New"}, headers=sent)),
    "updateTask-status": (
        "UPDATE ON users",
        lambda ada, task, sent: ada.patch(task, {"status": "in_progress"}, headers=sent),
    ),
    "updateTask-due": (
        "UPDATE ON users",
        lambda ada, task, sent: ada.patch(task, {"due": {"date": "2026-11-20"}}, headers=sent),
    ),
    "completeTask": (
        "UPDATE ON users",
        lambda ada, task, sent: ada.patch(f"{task}/complete", {"completed": True}, headers=sent),
    ),
    "completeTask-toggle": ("UPDATE ON users", lambda ada, task, sent: ada.patch(f"{task}/complete", headers=sent)),
    "deleteTask": ("DELETE ON tasks", lambda ada, task, sent: ada.delete(task, headers=sent)),
}
"""Each write, with the statement whose rows another writer keeps back, as if they had changed meanwhile."""

OTHER_WRITER = """
    CREATE SEQUENCE beaten;
    CREATE FUNCTION beat() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
        BEGIN
            IF nextval('public.beaten') <= {times} THEN RETURN NULL; END IF;
            IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
            RETURN NEW;
        END $$;
    CREATE TRIGGER beat BEFORE {write} FOR EACH ROW EXECUTE FUNCTION beat();
"""


def success(name: str) -> int:
    """Return the status of a write that succeeds."""
    return 204 if name == "deleteTask" else 200


@pytest.fixture
def beaten(direct: str) -> Callable[[str, int], Any]:
    """Has the first so many of these writes beaten while the block runs, and says how many there were."""

    @contextmanager
    def one(write: str, times: int) -> Iterator[Callable[[], int]]:
        rows(direct, OTHER_WRITER.format(write=write, times=times))
        try:
            yield lambda: int(rows(direct, "SELECT last_value FROM beaten")[0][0])
        finally:
            rows(direct, "DROP FUNCTION beat CASCADE; DROP SEQUENCE beaten")

    return one


@pytest.mark.parametrize("condition", [{}, {"If-Match": '"1"'}], ids=["any-version", "at-its-version"])
@pytest.mark.parametrize("name", WRITES)
def test_write_to_a_task_beaten_once_is_done_under_the_lock_of_its_user(
    ada: Client, beaten: Callable[[str, int], Any], name: str, condition: dict[str, str]
) -> None:
    """Nobody can beat the second attempt: every write of the user waits for that lock."""
    write, send = WRITES[name]
    task = ada.post(TASKS, {"title": "Contended"}).json()
    path = f"{TASKS}/{task['id']}"
    with beaten(write, 1) as attempts:
        assert send(ada, path, condition).status == success(name)
        assert attempts() == 2
    found = ada.get(path)
    assert (found.status, found.json().get("version")) == ((404, None) if name == "deleteTask" else (200, 2))


def test_update_task_due_beaten_each_time_is_503(ada: Client, beaten: Callable[[str, int], Any]) -> None:
    """As if the user were in another zone each time: even under the lock, instants were computed before it."""
    task = ada.post(TASKS, {"title": "Contended"}).json()
    path = f"{TASKS}/{task['id']}"
    with beaten("UPDATE ON users", 2 * ATTEMPTS) as attempts:
        reply = ada.patch(path, {"due": {"date": "2026-11-20"}})
        assert (reply.status, reply.code) == (503, "unavailable")
        assert reply.json()["detail"] == "The task keeps changing. Try again."
        assert attempts() == 2 * ATTEMPTS
    assert ada.get(path).json() == task


def test_update_account_beaten_four_times_succeeds_and_five_times_is_503(
    ada: Client, beaten: Callable[[str, int], Any]
) -> None:
    account = ada.get(ACCOUNT)
    condition = {"If-Match": account.headers["etag"]}
    with beaten("UPDATE ON users", ATTEMPTS) as attempts:
        reply = ada.patch(ACCOUNT, {"name": "New"}, headers=condition)
        assert (reply.status, reply.code) == (503, "unavailable")
        assert reply.json()["detail"] == "The account keeps changing. Try again."
        assert attempts() == ATTEMPTS
    assert ada.get(ACCOUNT).json() == account.json()
    with beaten("UPDATE ON users", ATTEMPTS - 1) as attempts:
        assert ada.patch(ACCOUNT, {"name": "New"}, headers=condition).json()["name"] == "New"
        assert attempts() == ATTEMPTS


@pytest.mark.parametrize("name", WRITES)
def test_write_to_a_task_while_its_user_is_locked_waits_without_a_lock_of_the_task(
    user: User, url: str, name: str
) -> None:
    """Every write locks the user first, so a deletion of the account and a write never deadlock."""
    path = f"{TASKS}/{user.client.post(TASKS, {'title': 'Contended'}).json()['id']}"
    with ThreadPoolExecutor(1) as pool, closing(psycopg2.connect(superuser_url(url))) as other:
        cursor = other.cursor()
        cursor.execute(f"SELECT FROM users WHERE id = '{user.id}' FOR UPDATE")
        sent = pool.submit(WRITES[name][1], user.client, path, {})
        assert soon(lambda: bool(rows(url, "SELECT 1 FROM pg_locks WHERE NOT granted")))
        cursor.execute(f"SELECT FROM tasks WHERE user_id = '{user.id}' FOR UPDATE NOWAIT")
        assert cursor.rowcount == 1
        other.rollback()
        assert sent.result(SLACK).status == success(name)
