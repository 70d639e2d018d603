"""Migrations beside processes that serve: one at a time, and writers wait for no index."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, cast

import psycopg2
from sqlalchemy import Connection, text

from todo_api.database import SETTINGS, connect
from todo_api.errors import Unavailable

if TYPE_CHECKING:  # imports take half a second, and are needed only to migrate
    from alembic.runtime.migration import MigrationContext

ONE_AT_A_TIME = 7_305_118_446
"""Advisory lock of migrations. Of two processes, one migrates and the other finds it done."""

TURN_TRIES = 3600
TURN_PAUSE = 1.0
"""Seconds between attempts to get the lock.

A session that waited for it in a statement would hold a snapshot, and an index that is built
concurrently waits until every older snapshot is gone.
"""

LIMITS = SETTINGS | {"lock_timeout": "100ms", "statement_timeout": "10min"}
"""The wait for a lock is shorter than `QUEUE_LIMIT`: no request behind a migration is refused."""

BUILD_LIMITS = SETTINGS | {"lock_timeout": "1min", "statement_timeout": "2h"}
"""Limits of a concurrent build: nobody queues behind it, and it waits for transactions to end."""

_TAKE_TURN = """
SELECT set_config(name, '0', true) FROM pg_settings
WHERE name IN ('idle_in_transaction_session_timeout', 'transaction_timeout');
SELECT pg_try_advisory_xact_lock(%s)
"""
_IS_INVALID = "SELECT NOT indisvalid FROM pg_index WHERE indexrelid = to_regclass('public.' || :name)"


@contextmanager
def turn(url: str, progress: Callable[[str], None] = lambda _: None) -> Iterator[None]:
    """Have no other process migrate meanwhile. `progress` gets a line if one does, before the wait.

    The lock is that of a transaction on a connection of its own: it outlasts the transactions of
    the migration, and no pooler keeps it. Raise Unavailable after an hour.
    """
    with closing(connect(url)) as connection, connection.cursor() as cursor:
        for attempt in range(TURN_TRIES):
            cursor.execute(_TAKE_TURN, (ONE_AT_A_TIME,))
            if cursor.fetchone() == (True,):
                break
            connection.rollback()
            if attempt == 0:
                progress("another process migrates the database: this one waits until it has ended")
            time.sleep(TURN_PAUSE)
        else:
            raise Unavailable("Another process still migrates the database.")
        yield
        with suppress(psycopg2.Error):  # a lost connection has given the turn back
            connection.rollback()  # PostgreSQL ends a closed one later


def limit(connection: Connection) -> None:
    """Apply LIMITS to the transaction: requests that wait behind a migration wait only briefly."""
    for name, value in LIMITS.items():
        connection.execute(text(f"SET LOCAL {name} = '{value}'"))


def build_indexes(context: "MigrationContext", table: str, indexes: Mapping[str, str]) -> None:
    """Build indexes, given by name as `(columns) WHERE condition`, while others write to the table.

    It commits what the migration did before. An index that is there is kept, and one that a broken
    build left invalid is built anew. For a table without any pages one transaction is enough.
    """
    connection = cast("Connection", context.connection)  # Alembic has none where it only writes SQL
    if connection.scalar(text("SELECT pg_relation_size(to_regclass('public.' || :name))"), {"name": table}):
        with context.autocommit_block():
            _limit_session(connection)
            _build(connection, table, indexes, "CONCURRENTLY")
        limit(connection)
    else:
        _build(connection, table, indexes, "")


def _build(connection: Connection, table: str, indexes: Mapping[str, str], how: str) -> None:
    for name, on in indexes.items():
        if connection.scalar(text(_IS_INVALID), {"name": name}):
            connection.execute(text(f"DROP INDEX {how} public.{name}"))
        connection.execute(text(f"CREATE INDEX {how} IF NOT EXISTS {name} ON public.{table} {on}"))


def _limit_session(connection: Connection) -> None:
    """Apply BUILD_LIMITS to the session, unless a pooler shares it with other programs."""
    session = connection.connection.dbapi_connection.info.backend_pid  # type: ignore[union-attr]  # psycopg2's
    for name, value in BUILD_LIMITS.items():
        connection.execute(
            text("SELECT set_config(:name, :value, pg_backend_pid() <> :session)"),
            {"name": name, "value": value, "session": session},
        )
