"""Several statements that hold together or not at all: on one connection, as one user or before one is known."""

from collections.abc import Callable, Iterator
from typing import Any

import psycopg2.errors
import pytest
import sqlalchemy
from sqlalchemy import Text, func, select

from tests.support.databases import execute
from tests.support.on_loop import on_loop
from tests.support.rows import rows
from todo_api.accounts.passwords import Passwords
from todo_api.accounts.service import register
from todo_api.database.database import Database
from todo_api.database.spending import spent
from todo_api.database.statement import Statement, param
from todo_api.errors import EmailTaken, PreconditionFailed, Unavailable
from todo_api.tasks.service import TaskService

LOCK = 7
PASSWORD = "correct horse battery staple"
CLAIMED = Statement(sqlalchemy.text("SELECT current_setting('app.claimed')"))
COUNT = Statement(sqlalchemy.text("SELECT count(*)::int FROM tasks"))
SESSION = Statement(sqlalchemy.text("SELECT pg_backend_pid()"))


class SomethingElse(Exception):
    """What a handler might raise."""


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    database = Database(url, pool_size=2)
    yield database
    database.close()


def create(transaction: Any, user_id: str, *titles: str) -> None:
    for title in titles:
        TaskService(transaction, user_id).create({"title": title, "description": None, "status": "pending"})


def fail(database: Database, user_id: str) -> None:
    """Writes, and raises."""
    with database.transaction() as transaction:
        create(transaction, user_id, "One")
        raise SomethingElse


def lose(url: str, database: Database, user_id: str, then: Callable[[Any], None]) -> None:
    """Writes, has its session ended, and does something else."""
    with database.transaction() as transaction:
        create(transaction, user_id, "One")
        end_session(url, transaction, user_id)
        then(transaction)


def titles(database: Database, user_id: str) -> list[str]:
    found = database.as_user(user_id).fetch_all(Statement(sqlalchemy.text("SELECT title FROM tasks ORDER BY id")), {})
    return [title for (title,) in found]


def end_session(url: str, database: Any, user_id: str) -> None:
    """Ends the session of a transaction, as an operator or a failover would."""
    (pid,) = database.as_user(user_id).fetch_one(SESSION, {})
    assert rows(url, f"SELECT pg_terminate_backend({pid}, 5000)") == [(True,)]


@on_loop
def test_transaction_keeps_everything_when_it_ends(database: Database) -> None:
    with database.transaction() as transaction:
        first = TaskService(transaction, "keeps").create({"title": "One", "description": None, "status": "pending"})
        TaskService(transaction, "keeps").change(first.id, {"title": "Uno"}, None)
        TaskService(transaction, "keeps").create({"title": "Two", "description": None, "status": "pending"})
        assert titles(database, "keeps") == []
    assert titles(database, "keeps") == ["Uno", "Two"]


@on_loop
def test_transaction_that_raises_keeps_nothing_and_its_connection_serves_on(url: str) -> None:
    database = Database(url, pool_size=1)
    with pytest.raises(SomethingElse):
        fail(database, "raises")
    assert titles(database, "raises") == []
    assert (
        TaskService(database, "raises").create({"title": "Two", "description": None, "status": "pending"}).version == 1
    )
    database.close()


@on_loop
def test_transaction_with_last_statement_ends_with_it(url: str, database: Database) -> None:
    with database.transaction() as transaction:
        TaskService(transaction, "ends").create({"title": "One", "description": None, "status": "pending"})
        transaction.as_user("ends").execute_and_commit(
            Statement(sqlalchemy.text("UPDATE tasks SET description = 'x'")), {}
        )
        with pytest.raises(Unavailable):
            TaskService(transaction, "ends").create({"title": "Two", "description": None, "status": "pending"})
    written = "SELECT title, description FROM tasks WHERE user_id = 'ends'"
    assert rows(url, written) == [("One", "x")]  # as another session sees it


@on_loop
def test_transaction_without_a_statement_asks_nothing(database: Database) -> None:
    spent()
    with database.transaction():
        pass
    assert spent()[0] == 0


@on_loop
def test_transaction_takes_a_round_trip_a_statement_and_one_to_end(database: Database) -> None:
    tasks = TaskService(database, "counts")
    tasks.create({"title": "One", "description": None, "status": "pending"})
    spent()
    with database.transaction() as transaction:
        TaskService(transaction, "counts").create({"title": "Two", "description": None, "status": "pending"})
    assert spent()[0] == 2
    with database.transaction() as transaction:
        TaskService(transaction, "counts").create({"title": "Three", "description": None, "status": "pending"})
        transaction.as_user("counts").execute_and_commit(COUNT, {})
    assert spent()[0] == 2
    tasks.create({"title": "Four", "description": None, "status": "pending"})
    assert spent()[0] == 1


@on_loop
def test_transaction_whose_statement_failed_keeps_nothing_whatever_becomes_of_the_error(database: Database) -> None:
    """PostgreSQL answers its COMMIT with a ROLLBACK, and without an error: nobody may be told that it was done."""

    def write() -> None:
        with database.transaction() as transaction:
            TaskService(transaction, "failed").create({"title": "One", "description": None, "status": "pending"})
            with pytest.raises(EmailTaken):
                register(transaction, Passwords(), "taken@example.com", PASSWORD, None)

    register(database, Passwords(), "taken@example.com", PASSWORD, None)
    with pytest.raises(RuntimeError, match="has failed"):
        write()
    assert titles(database, "failed") == []
    TaskService(database, "failed").create({"title": "Two", "description": None, "status": "pending"})
    assert titles(database, "failed") == ["Two"]


@on_loop
def test_transaction_sees_its_own_writes_and_the_versions_they_left(database: Database) -> None:
    with database.transaction() as transaction:
        tasks = TaskService(transaction, "sees")
        task = tasks.create({"title": "One", "description": None, "status": "pending"})
        assert tasks.complete(task.id, None, [task.version]).version == 2
        with pytest.raises(PreconditionFailed):
            tasks.change(task.id, {"title": "Lost"}, [1])
    assert TaskService(database, "sees").get(task.id).completed


@on_loop
def test_transaction_within_a_transaction_holds_with_the_outer_one(database: Database) -> None:
    """A service that opens one of its own need not know whether it is in another already."""

    def write() -> None:
        with database.transaction() as outer:
            with outer.transaction() as inner:
                create(inner, "within", "One")
                inner.as_user("within").execute_and_commit(COUNT, {})
            create(outer, "within", "Two")
            assert titles(database, "within") == []
            raise SomethingElse

    with pytest.raises(SomethingElse):
        write()
    assert titles(database, "within") == []
    with database.transaction() as outer, outer.transaction() as inner:
        create(inner, "within", "Undone")
        inner.as_user("within").execute_and_commit(COUNT, {})
        outer.rollback()
        with pytest.raises(Unavailable):
            create(inner, "within", "Too late")
    assert titles(database, "within") == []
    with database.transaction() as outer, outer.transaction() as inner:
        create(inner, "within", "Three")
    assert titles(database, "within") == ["Three"]


@on_loop
def test_transaction_of_one_user_shows_nothing_of_another(database: Database) -> None:
    TaskService(database, "owner").create({"title": "Mine", "description": None, "status": "pending"})
    with database.transaction() as transaction:
        assert transaction.as_user("owner").fetch_all(COUNT, {}) == [(1,)]
        assert transaction.as_user("other").fetch_all(COUNT, {}) == [(0,)]


@on_loop
def test_transaction_before_a_user_is_known_shows_no_task(database: Database) -> None:
    def count() -> None:
        with database.transaction() as transaction:
            assert transaction.as_user("counted").fetch_all(COUNT, {}) == [(1,)]
            transaction.as_login("ada@example.com").fetch_all(COUNT, {})

    TaskService(database, "counted").create({"title": "Mine", "description": None, "status": "pending"})
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        count()


@on_loop
def test_transaction_leaves_no_role_and_no_user_on_the_connection(url: str) -> None:
    database = Database(url, pool_size=1)
    with database.transaction() as transaction:
        transaction.as_user("leaves").fetch_all(COUNT, {})
    with database.connection() as connection:
        rows = connection.run("SELECT current_user = session_user, current_setting('app.user_id', true)")
        assert rows == [(True, "")]
    database.close()


@on_loop
def test_transaction_prepares_nothing(url: str) -> None:
    """To prepare a statement that fails would end the transaction."""
    database = Database(url, pool_size=1)
    with database.transaction() as transaction:
        create(transaction, "prepares", "One")
    with database.connection() as connection:
        assert connection.run("SELECT name FROM pg_prepared_statements") == []
    database.close()


@pytest.mark.parametrize("at", ["first", "later", "last"])
@on_loop
def test_transaction_in_a_session_that_is_not_ours_alone_sends_statements_whole(url: str, at: str) -> None:
    """As behind a pooler: what a connection has prepared is gone with the next transaction."""
    database = Database(url, pool_size=1)
    tasks = TaskService(database, f"pooled-{at}")
    tasks.create({"title": "Zero", "description": None, "status": "pending"})
    database.as_user("x").fetch_all(COUNT, {})
    with database.connection() as connection:
        connection.run("DEALLOCATE ALL")
    with database.transaction(claim=LOCK) as transaction:
        scope = transaction.as_user(f"pooled-{at}")
        if at == "first":
            scope.fetch_all(COUNT, {})
        else:
            assert scope.fetch_one(CLAIMED, {}) == ("true",)
        if at == "later":
            scope.fetch_all(COUNT, {})
        TaskService(transaction, f"pooled-{at}").create({"title": "One", "description": None, "status": "pending"})
        scope.execute_and_commit(COUNT, {})
    assert titles(database, f"pooled-{at}") == ["Zero", "One"]
    database.close()


@on_loop
def test_transaction_after_a_column_changed_its_type_prepares_anew(new_database: Callable[[], str]) -> None:
    url = new_database()
    database = Database(url, pool_size=1)
    tasks = TaskService(database, "ada")
    task = tasks.create({"title": "One", "description": None, "status": "pending"})
    tasks.get(task.id)
    rows(url, "DROP TRIGGER tasks_fold ON tasks; ALTER TABLE tasks ALTER COLUMN description TYPE varchar(5000)")
    with database.transaction() as transaction:
        assert TaskService(transaction, "ada").get(task.id) == task
        TaskService(transaction, "ada").create({"title": "Two", "description": None, "status": "pending"})
    assert titles(database, "ada") == ["One", "Two"]
    assert database._pool.prepares
    database.close()


@on_loop
def test_transaction_whose_session_ends_keeps_nothing_and_is_unavailable(url: str, database: Database) -> None:
    with pytest.raises(Unavailable, match="cannot be reached"):
        lose(url, database, "gone", lambda transaction: create(transaction, "gone", "Two"))
    assert titles(database, "gone") == []


@on_loop
def test_transaction_whose_session_ends_before_its_end_does_not_claim_to_know(url: str, database: Database) -> None:
    with pytest.raises(Unavailable, match="is not known"):
        lose(url, database, "unknown", lambda _: None)
    assert titles(database, "unknown") == []


@on_loop
def test_transaction_that_raises_after_its_session_ended_raises_that(url: str, database: Database) -> None:
    def refuse(_: Any) -> None:
        raise SomethingElse

    with pytest.raises(SomethingElse):
        lose(url, database, "raises-that", refuse)
    assert titles(database, "raises-that") == []


@on_loop
def test_transaction_is_not_left_open_by_a_process_that_stopped(url: str, database: Database) -> None:
    with database.transaction() as transaction:
        setting = Statement(sqlalchemy.text("SELECT current_setting('idle_in_transaction_session_timeout')"))
        assert transaction.as_user("idle").fetch_one(setting, {}) == ("5s",)
    assert execute(url, "SHOW idle_in_transaction_session_timeout") == [("0",)]


@on_loop
def test_transaction_with_a_claim_is_told_whether_another_has_it(database: Database) -> None:
    def claimed(transaction: Any) -> str:
        return str(transaction.as_user("claims").fetch_one(CLAIMED, {})[0])

    with database.transaction(claim=LOCK) as first:
        assert claimed(first) == "true"
        with database.transaction(claim=LOCK) as second:
            assert claimed(second) == "false"
        with database.transaction(claim=LOCK + 1) as third:
            assert claimed(third) == "true"
    with database.transaction(claim=LOCK) as fourth:
        assert claimed(fourth) == "true"


@on_loop
def test_id_of_a_user_in_a_statement_is_that_of_the_session_whatever_the_statement_is_told(database: Database) -> None:
    told = Statement(select(param("user_id", Text), func.current_setting("app.user_id")))
    for user_id in ("ada", "bob"):
        assert database.as_user(user_id).fetch_all(told, {"user_id": "mallory"}) == [(user_id, user_id)]
