"""What becomes of a statement, of its connection and of the next request, when the database refuses half-way."""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg2.errors
import pytest
import sqlalchemy

from tests.support.client import Client
from tests.support.credentials import PASSWORD, SECRET, token
from tests.support.databases import execute
from tests.support.on_loop import on_loop
from tests.support.rows import rows
from todo_api.accounts.passwords import Passwords
from todo_api.accounts.service import register
from todo_api.config import Config
from todo_api.database import LONG, connection
from todo_api.database.connection import CONNECT_PAUSE
from todo_api.database.database import Database
from todo_api.database.failures import DatabaseTimeout
from todo_api.database.greenlets import wait
from todo_api.database.pool import SWEEP
from todo_api.database.statement import Statement
from todo_api.errors import ConstraintViolated, EmailTaken, Unavailable
from todo_api.tasks.service import TaskService

TASKS = "/api/v1/me/tasks"
SESSION = Statement(sqlalchemy.text("SELECT pg_backend_pid()"))
READ_ONLY, LOCK_LATE, QUERY_LATE = "25006", "55P03", "57014"


@pytest.fixture
def database_url(new_database: Callable[[], str]) -> str:
    return new_database()


@pytest.fixture
def ada(database_url: str, new_client: Callable[[Config], Client]) -> Client:
    """A client of a service that has one connection."""
    service = new_client(Config(database_url=database_url, jwt_secret=SECRET, rate_limit="off", threads=1))
    return service.signed_in(token("ada"))


@contextmanager
def refusing(url: str, state: str, *, at_commit: bool = False) -> Iterator[None]:
    """Has the database refuse each new task with this SQLSTATE, as it is written or when the transaction ends."""
    execute(
        url,
        f"CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$ BEGIN RAISE EXCEPTION 'refused' USING ERRCODE = '{state}'; END $$",
    )
    kind, when = ("CONSTRAINT ", "INITIALLY DEFERRED ") if at_commit else ("", "")
    deferrable = "DEFERRABLE " if at_commit else ""
    execute(
        url,
        f"CREATE {kind}TRIGGER refuse AFTER INSERT ON tasks {deferrable}{when}FOR EACH ROW EXECUTE FUNCTION refuse()",
    )
    try:
        yield
    finally:
        execute(url, "DROP TRIGGER refuse ON tasks; DROP FUNCTION refuse()")


def sessions(url: str) -> set[int]:
    """The sessions that the service has."""
    found = rows(
        url,
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'task-api'",
    )
    return {pid for (pid,) in found}


@pytest.mark.parametrize("at_commit", [False, True], ids=["as-it-is-written", "at-commit"])
@pytest.mark.parametrize("key", [{}, {"Idempotency-Key": "once"}], ids=["statement", "transaction"])
def test_create_task_on_former_primary_is_unavailable_and_leaves_its_session(
    ada: Client, database_url: str, key: dict[str, str], at_commit: bool
) -> None:
    """A server that has become read-only does not become a primary again: the next session may reach another."""
    assert ada.post(TASKS, {"title": "Before"}).status == 201
    before = sessions(database_url)
    with refusing(database_url, READ_ONLY, at_commit=at_commit):
        reply = ada.post(TASKS, {"title": "Refused"}, headers=key)
    assert (reply.status, reply.code, reply.headers["retry-after"]) == (503, "unavailable", "1")
    assert ada.post(TASKS, {"title": "After"}, headers=key).status == 201
    assert not sessions(database_url) & before
    assert {task["title"] for task in ada.get(TASKS).json()["items"]} == {"Before", "After"}


@pytest.mark.parametrize(
    ("state", "detail"),
    [
        (LOCK_LATE, "What the request needs is in use by others; nothing was changed."),
        (QUERY_LATE, "The database did not answer in time; nothing was changed."),
    ],
)
@pytest.mark.parametrize("at_commit", [False, True], ids=["as-it-is-written", "at-commit"])
@pytest.mark.parametrize("key", [{}, {"Idempotency-Key": "once"}], ids=["statement", "transaction"])
def test_create_task_that_the_database_gives_up_is_unavailable_and_says_that_nothing_changed(
    ada: Client, database_url: str, state: str, detail: str, key: dict[str, str], at_commit: bool
) -> None:
    with refusing(database_url, state, at_commit=at_commit):
        reply = ada.post(TASKS, {"title": "Refused"}, headers=key)
    assert (reply.status, reply.code, reply.json()["detail"]) == (503, "unavailable", detail)
    assert ada.post(TASKS, {"title": "After"}, headers=key).status == 201
    assert ada.get(TASKS).json()["total"] == 1


@pytest.mark.parametrize("state", ["XX000", "42883", "22012"])
@pytest.mark.parametrize("key", [{}, {"Idempotency-Key": "once"}], ids=["statement", "transaction"])
def test_create_task_that_fails_for_no_known_reason_is_internal_and_undone(
    ada: Client, database_url: str, state: str, key: dict[str, str]
) -> None:
    with refusing(database_url, state):
        reply = ada.post(TASKS, {"title": "Refused"}, headers=key)
    assert (reply.status, reply.code) == (500, "internal_error")
    assert [ada.post(TASKS, {"title": "After"}, headers=key).status for _ in range(2)] == [201, 201]
    assert ada.get(TASKS).json()["total"] == (1 if key else 2)


@on_loop
def test_statement_refused_by_a_constraint_was_prepared_and_preparing_goes_on(database_url: str) -> None:
    database = Database(database_url, pool_size=1)
    passwords = Passwords()
    for _ in range(3):
        with pytest.raises(EmailTaken) if _ else _no_error():
            register(database, passwords, "ada@example.com", PASSWORD, None)
        assert database._pool.prepares
    tasks = TaskService(database, "ada")
    sent = _sent(database)
    task = tasks.create({"title": "One", "description": None, "status": "pending"})
    assert [tasks.get(task.id) for _ in range(2)] == [task, task]
    assert ["PREPARE" in sql for sql in sent] == [True, True, False]
    database.close()


@on_loop
def test_first_statement_refused_by_a_constraint_is_executed_the_next_time(database_url: str) -> None:
    execute(database_url, "INSERT INTO users (id) VALUES ('taken')")
    broken = Statement(sqlalchemy.text("INSERT INTO users (id) VALUES ('taken') RETURNING id"))
    database = Database(database_url, pool_size=1)
    sent = _sent(database)
    for _ in range(2):
        with pytest.raises(ConstraintViolated):
            database.as_user("taken").fetch_all(broken, {})
    assert ["PREPARE" in sql for sql in sent] == [True, False]
    assert database._pool.prepares
    database.close()


@on_loop
def test_statement_whose_data_are_refused_is_executed_the_next_time(database_url: str) -> None:
    divide = Statement(sqlalchemy.text("SELECT 1 / (SELECT count(*)::int FROM tasks)"))
    database = Database(database_url, pool_size=1)
    sent = _sent(database)
    for _ in range(2):
        with pytest.raises(psycopg2.errors.DivisionByZero):
            database.as_user("ada").fetch_all(divide, {})
    assert ["PREPARE" in sql for sql in sent] == [True, False]
    assert database._pool.prepares
    database.close()


@on_loop
def test_rollback_without_an_answer_gives_the_connection_up(database_url: str) -> None:
    """Else the next request would go on in the open transaction of this one."""

    def fail(database: Database) -> None:
        with database.transaction() as transaction:
            (pid,) = transaction.as_user("ada").fetch_one(SESSION, {}) or (0,)
            stopped.append(pid)
            os.kill(pid, signal.SIGSTOP)
            raise KeyError

    database = Database(database_url, pool_size=1)
    stopped: list[int] = []
    set_read_timeout(database, 0.5)
    with pytest.raises(KeyError):
        fail(database)
    os.kill(stopped[0], signal.SIGCONT)
    set_read_timeout(database, 5)
    assert database.as_user("ada").fetch_one(SESSION, {}) != (stopped[0],)
    database.close()


@on_loop
def test_read_that_the_database_gives_up_is_not_sent_again(database_url: str) -> None:
    """Only where the connection is lost: what took too long once would take the database as long again."""
    execute(
        database_url,
        "CREATE FUNCTION late() RETURNS int LANGUAGE plpgsql AS"
        f" $$ BEGIN RAISE EXCEPTION 'late' USING ERRCODE = '{QUERY_LATE}'; END $$",
    )
    database = Database(database_url, pool_size=1)
    sent = _sent(database)
    with pytest.raises(Unavailable, match="did not answer in time; nothing was changed"):
        database.as_user("ada").fetch_all(Statement(sqlalchemy.text("SELECT late()")), {})
    assert len(sent) == 1
    database.close()


@on_loop
def test_commit_that_nobody_answers_says_that_the_outcome_is_unknown(database_url: str) -> None:
    """PostgreSQL is stopped as it commits, and later goes on and does."""
    database = Database(database_url, pool_size=1)
    stopped: list[int] = []

    def commit() -> None:
        with database.transaction() as transaction:
            TaskService(transaction, "ada").create({"title": "Kept", "description": None, "status": "pending"})
            (pid,) = transaction.as_user("ada").fetch_one(SESSION, {}) or (0,)
            stopped.append(pid)
            os.kill(pid, signal.SIGSTOP)

    set_read_timeout(database, 0.5)
    with pytest.raises(
        Unavailable, match=r"The database does not answer\. It is unknown whether the change was made\."
    ):
        commit()
    os.kill(stopped[0], signal.SIGCONT)
    database.close()


@on_loop
def test_statement_of_a_transaction_whose_connection_is_seen_to_have_ended_is_unavailable(database_url: str) -> None:
    def go_on(database: Database) -> None:
        with database.transaction() as transaction:
            (pid,) = transaction.as_user("ada").fetch_one(SESSION, {}) or (0,)
            assert rows(database_url, f"SELECT pg_terminate_backend({pid}, 5000)") == [(True,)]
            wait(asyncio.sleep(0.01))  # one turn of the loop, which looks at its sockets
            transaction.as_user("ada").fetch_one(SESSION, {})

    database = Database(database_url, pool_size=1)
    with pytest.raises(Unavailable, match="cannot be reached"):
        go_on(database)
    database.close()


@on_loop
def test_rollback_on_a_lost_connection_gives_it_up(database_url: str) -> None:
    """The next write gets another one at once: the event loop has not looked at the old one since."""

    def fail() -> None:
        with database.transaction() as transaction:
            (pid,) = transaction.as_user("ada").fetch_one(SESSION, {}) or (0,)
            assert rows(database_url, f"SELECT pg_terminate_backend({pid}, 5000)") == [(True,)]
            raise KeyError

    database = Database(database_url, pool_size=1)
    with pytest.raises(KeyError):
        fail()
    assert TaskService(database, "ada").create({"title": "Next", "description": None, "status": "pending"})
    database.close()


@on_loop
def test_former_primary_behind_a_pooler_is_unavailable_and_its_connection_given_up(database_url: str) -> None:
    database = Database(database_url, pool_size=1)
    database._pool.prepares = False
    (before,) = database.as_user("ada").fetch_one(SESSION, {}) or (None,)
    with refusing(database_url, READ_ONLY), pytest.raises(Unavailable):
        TaskService(database, "ada").create({"title": "Refused", "description": None, "status": "pending"})
    assert database.as_user("ada").fetch_one(SESSION, {}) != (before,)
    database.close()


@on_loop
def test_silence_on_one_connection_gives_idle_ones_up_and_pauses_attempts(database_url: str) -> None:
    database = Database(database_url, pool_size=2)
    with database.connection(), database.connection():
        pass  # two are open, and idle from here on
    assert len(sessions(database_url)) == 2
    with pytest.raises(Unavailable), database.connection():
        raise DatabaseTimeout
    with pytest.raises(Unavailable, match=r"The database cannot be reached\."):
        database.as_user("ada").fetch_all(SESSION, {})
    ended = time.monotonic() + 10  # the server takes a moment to see that they are closed
    while sessions(database_url) and time.monotonic() < ended:
        wait(asyncio.sleep(0.01))
    assert sessions(database_url) == set()


@on_loop
def test_connection_on_which_nobody_answered_is_not_used_again(database_url: str) -> None:
    database = Database(database_url, pool_size=1)
    (before,) = database.as_user("ada").fetch_one(SESSION, {}) or (None,)
    with pytest.raises(Unavailable, match=r"does not answer\. It is unknown"), database.connection():
        raise DatabaseTimeout
    wait(asyncio.sleep(CONNECT_PAUSE))
    assert database.as_user("ada").fetch_one(SESSION, {}) != (before,)
    database.close()


@on_loop
def test_watch_of_connections_is_told_of_each_that_is_given_back_whatever_became_of_it(database_url: str) -> None:
    told: list[int] = []
    database = Database(database_url, pool_size=1, watch=told.append)

    def fail(error: Exception) -> None:
        with database.connection():
            raise error

    for error in (psycopg2.OperationalError(), psycopg2.errors.ReadOnlySqlTransaction(), KeyError(), DatabaseTimeout()):
        with pytest.raises(KeyError if isinstance(error, KeyError) else Unavailable):
            fail(error)
    assert told == [1, -1] * 4
    database.close()


def test_attempts_to_connect_are_one_at_a_time_in_trouble_and_as_many_as_there_are_after_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection, "CONNECT_PAUSE", 0)
    backoff = connection.ConnectBackoff()
    backoff.failed()
    with backoff.attempt(), pytest.raises(Unavailable), backoff.attempt():
        pass
    with backoff.attempt(), backoff.attempt():
        pass


@on_loop
def test_statement_with_more_time_than_others_is_waited_for_so_much_longer(database_url: str) -> None:
    slow = sqlalchemy.text("SELECT CAST(pg_sleep(1) AS text), current_setting('statement_timeout')")
    slower = sqlalchemy.text("SELECT CAST(pg_sleep(60) AS text)")
    with closing(Database(database_url, pool_size=1)) as database:
        user = database.as_user("ada")
        set_read_timeout(database, 0.25)
        assert user.fetch_all(Statement(slow, seconds=LONG), {}) == [("", "1min")]
        with pytest.raises(Unavailable):
            user.fetch_all(Statement(slower), {})


def set_read_timeout(database: Any, seconds: float) -> None:
    """Has the database wait so long for an answer."""
    database._pool.sweeps = round(seconds / SWEEP)


@contextmanager
def _no_error() -> Iterator[None]:
    yield


def _sent(database: Any) -> list[str]:
    """Return a list that gets every statement sent to the database from now on."""
    sent: list[str] = []
    with database.connection() as connection:  # the only one
        run = connection.run

    def record(sql: str, values: object = None, **how: Any) -> object:
        sent.append(sql)
        return run(sql, values, **how)

    connection.run = record
    return sent
