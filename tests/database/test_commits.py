"""The end of a transaction: a COMMIT that is refused, that gets no answer, or that is never sent."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import psycopg2.errors
import pytest
import sqlalchemy

from tests.support.on_loop import on_loop
from tests.support.processes import soon
from tests.support.proxy import Proxy
from tests.support.rows import rows
from todo_api.database import pool
from todo_api.database.database import Database
from todo_api.database.greenlets import wait
from todo_api.database.spending import spent
from todo_api.database.statement import Statement
from todo_api.database.transaction import Transaction
from todo_api.errors import ConstraintViolated, Unavailable
from todo_api.tasks.service import TaskService

COUNT = Statement(sqlalchemy.text("SELECT count(*)::int FROM tasks"))
SESSION = Statement(sqlalchemy.text("SELECT pg_backend_pid()"))
TAKE = Statement(sqlalchemy.text("INSERT INTO users (id, time_zone) VALUES ('taken', 'Europe/Berlin') RETURNING 1"))
FORGET = Statement(sqlalchemy.text("UPDATE users SET time_zone = NULL WHERE id = 'taken' RETURNING 1"))

REFUSE_COMMIT = """
    CREATE FUNCTION refuse_commit() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN IF NEW.title = 'Refused' THEN RAISE EXCEPTION 'not now'; END IF; RETURN NULL; END $$;
    CREATE CONSTRAINT TRIGGER refuse_commit AFTER INSERT ON tasks
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse_commit();
"""

WAYS = ["by-itself", "with-a-statement"]
"""Ways to send the COMMIT."""


@pytest.fixture(scope="module")
def refusing(new_database: Callable[[], str]) -> str:
    """A database that refuses the COMMIT of who has made a task `Refused`, and no statement before it."""
    url = new_database()
    rows(url, REFUSE_COMMIT)
    return url


@pytest.fixture
def proxy(url: str) -> Iterator[Proxy]:
    with Proxy(url) as made:
        yield made


def write(database: Database, user_id: str, way: str, title: str = "One") -> None:
    """Makes a task, and commits in this way."""
    with database.transaction() as transaction:
        TaskService(transaction, user_id).create({"title": title, "description": None, "status": "pending"})
        if way == "with-a-statement":
            transaction.as_user(user_id).execute_and_commit(COUNT, {})


def titles(url: str, user_id: str) -> list[str]:
    return [title for (title,) in rows(url, f"SELECT title FROM tasks WHERE user_id = '{user_id}'")]


@pytest.mark.parametrize("way", WAYS)
@on_loop
def test_commit_that_the_database_refuses_raises_keeps_nothing_and_its_connection_serves_on(
    refusing: str, way: str
) -> None:
    database = Database(refusing, pool_size=1)
    session = database.as_user(way).fetch_one(SESSION, {})
    with pytest.raises(psycopg2.errors.RaiseException, match="not now"):
        write(database, way, way, "Refused")
    assert titles(refusing, way) == []
    write(database, way, way, "Two")
    assert database.as_user(way).fetch_one(SESSION, {}) == session
    assert titles(refusing, way) == ["Two"]
    database.close()


@on_loop
def test_last_statement_that_violates_a_constraint_says_which_keeps_nothing_and_its_connection_serves_on(
    url: str,
) -> None:
    def take() -> None:
        with database.transaction() as transaction:
            scope = transaction.as_user("taken")
            scope.fetch_all(FORGET, {})
            scope.execute_and_commit(TAKE, {})

    database = Database(url, pool_size=1)
    session = database.as_user("taken").fetch_one(SESSION, {})
    database.as_user("taken").fetch_all(TAKE, {})
    with pytest.raises(ConstraintViolated) as violated:
        take()
    assert violated.value.constraint == "users_pkey"
    assert rows(url, "SELECT time_zone FROM users WHERE id = 'taken'") == [("Europe/Berlin",)]
    assert database.as_user("taken").fetch_one(SESSION, {}) == session
    database.close()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("after", [False, True], ids=["before-it-arrived", "after-it-was-done"])
@on_loop
def test_commit_without_an_answer_does_not_claim_to_know_and_gives_the_connection_up(
    url: str, proxy: Proxy, way: str, after: bool
) -> None:
    user_id = f"{way}-{after}"
    database = Database(proxy.url, pool_size=1)
    session = database.as_user(user_id).fetch_one(SESSION, {})
    proxy.cut(b"COMMIT\0", after=after)  # PostgreSQL ends a query with a zero
    with pytest.raises(Unavailable, match="whether the change was made is not known"):
        write(database, user_id, way)
    write(database, user_id, way, "Two")  # at once: the event loop has not looked at the old connection since
    assert proxy.cuts == 1
    assert titles(url, user_id) == ["One"] * after + ["Two"]
    assert database.as_user(user_id).fetch_one(SESSION, {}) != session
    database.close()


@on_loop
def test_commit_on_a_connection_that_has_ended_before_is_not_sent_and_is_unavailable(url: str) -> None:
    """The event loop has seen the end, so nothing was changed, and the reply need not leave it open."""

    def end(transaction: Transaction) -> None:
        TaskService(transaction, "ended").create({"title": "One", "description": None, "status": "pending"})
        (session,) = transaction.as_user("ended").fetch_one(SESSION, {}) or (0,)
        assert rows(url, f"SELECT pg_terminate_backend({session}, 5000)") == [(True,)]
        turn: Any = asyncio.sleep(0.01)  # one turn of the loop, which looks at its sockets
        wait(turn)

    def lose() -> None:
        with database.transaction() as transaction:
            end(transaction)

    database = Database(url, pool_size=1)
    spent()
    with pytest.raises(Unavailable, match="cannot be reached"):
        lose()
    assert spent()[0] == 2
    assert titles(url, "ended") == []
    write(database, "ended", "by-itself", "Two")
    assert titles(url, "ended") == ["Two"]
    database.close()


def test_close_ends_the_idle_sessions(url: str) -> None:
    database = Database(url, pool_size=1)
    (session,) = on_loop(database.as_user("ends").fetch_one)(SESSION, {}) or (0,)
    there = f"SELECT 1 FROM pg_stat_activity WHERE pid = {session}"
    assert rows(url, there) == [(1,)]
    database.close()
    assert soon(lambda: rows(url, there) == [])


LIMITS = {
    "while-it-runs": ("transaction_timeout", "SELECT pg_sleep(60)"),
    "between-statements": ("idle_in_transaction_session_timeout", "SELECT 1"),
}
"""Limits of PostgreSQL's that end the session, each with a statement that meets it."""


@pytest.mark.parametrize("when", LIMITS)
@on_loop
def test_transaction_that_a_limit_of_the_database_ends_is_unavailable_and_keeps_nothing(url: str, when: str) -> None:
    setting, then = LIMITS[when]

    def lose() -> None:
        with database.transaction() as transaction:
            TaskService(transaction, when).create({"title": "One", "description": None, "status": "pending"})
            scope = transaction.as_user(when)
            (session,) = scope.fetch_one(SESSION, {}) or (0,)
            scope.fetch_all(Statement(sqlalchemy.text(f"SET LOCAL {setting} = '50ms'")), {})
            if when == "between-statements":  # the event loop stands still, and so does not see the end
                soon(lambda: rows(url, f"SELECT 1 FROM pg_stat_activity WHERE pid = {session}") == [])
            scope.fetch_all(Statement(sqlalchemy.text(then)), {})

    database = Database(url, pool_size=1)
    with pytest.raises(Unavailable, match="cannot be reached"):
        lose()
    assert titles(url, when) == []
    write(database, when, "by-itself", "Two")
    assert titles(url, when) == ["Two"]
    database.close()


@on_loop
def test_wait_for_a_connection_that_is_in_vain_is_counted(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "POOL_TIMEOUT", 0.05)
    database = Database(url, pool_size=1)
    with database.connection():
        spent()
        with pytest.raises(Unavailable, match="in use"):
            database.as_user("waits").fetch_all(COUNT, {})
        statements, _, waited = spent()
    assert (statements, waited >= 0.05) == (0, True)
    database.close()
