"""Migrations beside others: one process at a time, and indexes of tables that have rows are built while others write."""

import re
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any

import psycopg2
import pytest
from sqlalchemy import Engine, event

from tests.support.databases import database_url, execute, patient
from tests.support.processes import soon
from tests.support.rows import rows, superuser_url
from todo_api.embedded import EmbeddedServer
from todo_api.errors import Unavailable
from todo_api.provisioning import migrations, online

PATIENCE = 60
WAITS = ["another process migrates the database: this one waits until it has ended"]
BUILDERS = """
    SELECT pid FROM pg_stat_activity WHERE datname = current_database()
    AND wait_event = 'virtualxid' AND query LIKE 'CREATE INDEX CONCURRENTLY%'
"""
INDEX = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('tasks_by_status_and_priority')"
WHOLE = "tasks_with_due_by_status_and_priority"
"""The other index of that migration."""

TASK = """
    INSERT INTO tasks (user_id, id, title, status, created_at, updated_at, version)
    VALUES ('ada', gen_random_uuid(), 'Buy milk', 'pending', now(), now(), 1)
"""
WATCH = """
    CREATE TABLE watched (statement text);
    GRANT ALL ON watched TO PUBLIC;
    CREATE FUNCTION watch() RETURNS event_trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO public.watched SELECT current_query();
    END $$;
    CREATE EVENT TRIGGER watch_{name} ON ddl_command_start WHEN TAG IN ('CREATE INDEX') EXECUTE FUNCTION watch();
"""
NEW_INDEX = re.compile(r"CREATE (?:UNIQUE )?INDEX\s+(CONCURRENTLY )?(?:IF NOT EXISTS )?(\w+) ON (?:public\.)?(\w+)")


@pytest.fixture
def empty(server: EmbeddedServer) -> str:
    """An empty database's URL."""
    name = f"online_{secrets.token_hex(4)}"
    execute(server.url, f"CREATE DATABASE {name}")
    return patient(database_url(server.url, name))


@pytest.fixture
def with_task(empty: str) -> str:
    """The URL of a database before the indexes of priorities, with a task."""
    migrations.migrate(empty, revision="0024")
    rows(empty, "INSERT INTO users (id) VALUES ('ada')")
    rows(empty, TASK)
    return empty


@pytest.fixture
def start() -> Iterator[Callable[..., Future[None]]]:
    """Starts a migration to the indexes of priorities, in a thread."""
    with ThreadPoolExecutor(2) as threads:
        yield lambda url, *progress: threads.submit(migrations.migrate, url, *progress, revision="0025")


@contextmanager
def open_transaction(url: str, statement: str) -> Iterator[Any]:
    """Return a session of the superuser's whose transaction has run the statement; it is rolled back."""
    with closing(psycopg2.connect(superuser_url(url))) as session:
        session.cursor().execute(statement)
        yield session


@contextmanager
def sent() -> Iterator[list[str]]:
    """Return a list that gets each statement that SQLAlchemy sends."""
    found: list[str] = []

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        found.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def test_migrate_beside_another_with_rows_there_builds_indexes_while_others_write(
    with_task: str, start: Callable[..., Future[None]]
) -> None:
    """The one that waits has no snapshot, for whose end the build would wait for ever."""
    told: list[str] = []
    with open_transaction(with_task, TASK) as writer:
        builds = start(with_task)
        assert soon(lambda: rows(with_task, BUILDERS) != [])
        waits = start(with_task, told.append)
        assert soon(lambda: told != [])
        rows(with_task, f"SET lock_timeout = '5s'; {TASK}; RESET lock_timeout")
        writer.commit()
        assert [each.result(PATIENCE) for each in (builds, waits)] == [None, None]
    assert told == WAITS
    assert rows(with_task, INDEX) == [(True,)]
    assert execute(with_task, "SELECT version_num FROM alembic_version") == [("0025",)]
    assert rows(with_task, "SELECT count(*) FROM tasks") == [(3,)]


def test_migrate_after_a_build_was_broken_off_builds_the_index_anew_and_keeps_what_is_whole(
    with_task: str, start: Callable[..., Future[None]]
) -> None:
    """Others may write while what is left of the broken one is dropped, as well."""
    with open_transaction(with_task, TASK):
        broken = start(with_task)
        assert soon(lambda: rows(with_task, BUILDERS) != [])
        rows(with_task, BUILDERS.replace("SELECT pid", "SELECT pg_terminate_backend(pid)"))
        with pytest.raises(Unavailable, match=r"terminating connection|server closed the connection"):
            broken.result(PATIENCE)
    assert rows(with_task, INDEX) == [(False,)]
    rows(with_task, f"CREATE INDEX {WHOLE} ON tasks (user_id)")
    file = f"SELECT pg_relation_filenode('{WHOLE}')"
    before = rows(with_task, file)
    with sent() as statements:
        migrations.migrate(with_task, revision="0025")
    assert (rows(with_task, INDEX), rows(with_task, file)) == ([(True,)], before)
    dropped = [each for each in statements if each.startswith("DROP INDEX")]
    assert dropped == ["DROP INDEX CONCURRENTLY public.tasks_by_status_and_priority"]


def test_migrate_with_rows_there_builds_every_index_concurrently(empty: str) -> None:
    """Those of tables that were there before; a table that the migration makes has no writers."""
    migrations.migrate(empty, revision="0017")
    there = {name for (name,) in rows(empty, "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname !~ '^pg_'")}
    rows(empty, "INSERT INTO users (id) VALUES ('ada')")
    rows(empty, TASK)
    rows(empty, WATCH.format(name=secrets.token_hex(4)))
    migrations.migrate(empty)
    seen = [found for (each,) in rows(empty, "SELECT statement FROM watched") for found in NEW_INDEX.findall(each)]
    built = {name: bool(concurrently) for concurrently, name, table in seen if table in there}
    assert built.keys() >= {"tasks_by_status_and_position", "tasks_by_parent", "users_by_zone_data"}
    assert [name for name, concurrently in built.items() if not concurrently] == []


def test_migrate_while_another_does_not_end_gives_up_with_a_line(empty: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(online, "TURN_TRIES", 3)
    monkeypatch.setattr(online, "TURN_PAUSE", 0.01)
    told: list[str] = []
    with (
        open_transaction(empty, f"SELECT pg_advisory_xact_lock({online.ONE_AT_A_TIME})"),
        pytest.raises(Unavailable, match="Another process still migrates the database"),
    ):
        migrations.migrate(empty, told.append)
    assert told == WAITS
