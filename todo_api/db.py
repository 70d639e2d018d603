"""The database: the engine, the scope a statement runs in, and nothing of the business.

A statement is compiled once, at start. It travels with the role and the user it runs as in one round trip: psycopg2 sends
`SELECT set_config(...); <statement>` as one simple query, which PostgreSQL runs as one implicit transaction. `set_config`
with `is_local` ends with that transaction, so nothing is left on the connection, and a transaction-mode pooler is no obstacle.
"""

import select
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any

import psycopg2
import psycopg2.errors
import psycopg2.extensions
import psycopg2.extras
import sqlalchemy
from sqlalchemy import event, exc
from sqlalchemy.dialects.postgresql import psycopg2 as dialect
from sqlalchemy.engine import URL, make_url

from todo_api.errors import Unavailable
from todo_api.models import LOGIN_ROLE, USER_ROLE

CONNECT_TIMEOUT = 2
"""Seconds to wait for a connection."""

POOL_TIMEOUT = 2
"""Seconds to wait for a free connection of the pool."""

STATEMENT_TIMEOUT = "5s"

Row = tuple[Any, ...]

_DIALECT = dialect.dialect(paramstyle="pyformat")
_AWAY = (
    psycopg2.OperationalError,
    psycopg2.InterfaceError,
    psycopg2.errors.ReadOnlySqlTransaction,  # a former primary during a failover
)

psycopg2.extras.register_uuid()


def _prefix(role: str, setting: str) -> str:
    return (
        f"SELECT set_config('role', '{role}', true), set_config('{setting}', %(scope)s, true), "
        f"set_config('TimeZone', 'UTC', true), set_config('statement_timeout', '{STATEMENT_TIMEOUT}', true);\n"
    )


def _literal(value: str | int) -> str:
    """A constant of ours as SQL, with `%` doubled for psycopg2."""
    if isinstance(value, int):
        return str(value)
    return "'" + value.replace("'", "''").replace("%", "%%") + "'"


class Statement:
    """A SQLAlchemy Core statement, compiled once, with its constants written in."""

    __slots__ = ("sql",)

    def __init__(self, statement: sqlalchemy.Executable) -> None:
        compiled = statement.compile(dialect=_DIALECT)  # type: ignore[attr-defined]  # every Executable of Core has it
        sql = str(compiled)
        for name, value in compiled.params.items():
            if value is not None:
                sql = sql.replace(f"%({name})s", _literal(value))
        self.sql = sql


class Scope:
    """Statements as one role, with one value in one setting, which row-level security reads."""

    __slots__ = ("_database", "_prefix", "_value")

    def __init__(self, database: "Database", prefix: str, value: str) -> None:
        self._database = database
        self._prefix = prefix
        self._value = value

    def all(self, statement: Statement, parameters: Mapping[str, Any]) -> list[Row]:
        """The rows of one statement, in one round trip and one transaction.

        Raises Unavailable where the database is out of reach, and psycopg2's IntegrityError, for the caller who expects it.
        """
        values = {**parameters, "scope": self._value}
        with self._database.cursor() as cursor:
            cursor.execute(self._prefix + statement.sql, values)
            return cursor.fetchall()

    def first(self, statement: Statement, parameters: Mapping[str, Any]) -> Row | None:
        """The first row of `all`, or None."""
        rows = self.all(statement, parameters)
        return rows[0] if rows else None


class Database:
    """The pool of connections to one PostgreSQL, 15 or newer. Safe to share between threads, not across a fork."""

    def __init__(self, url: str, *, pool_size: int) -> None:
        self._engine = sqlalchemy.create_engine(
            engine_url(url),
            isolation_level="AUTOCOMMIT",
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=POOL_TIMEOUT,
            connect_args={"connect_timeout": CONNECT_TIMEOUT, "application_name": "task-api"},
        )
        event.listen(self._engine, "checkout", _refuse_lost)

    def as_user(self, user_id: str) -> Scope:
        """The scope of one user: row-level security shows what is theirs, and nothing else."""
        return Scope(self, _USER_PREFIX, user_id)

    def as_login(self, email: str) -> Scope:
        """The scope of one sign-in or registration: the account of this e-mail address, and no task."""
        return Scope(self, _LOGIN_PREFIX, email)

    def ping(self) -> str | None:
        """The revision of the schema, None before the first migration. Raises Unavailable."""
        with self.cursor() as cursor:
            cursor.execute("SELECT to_regclass('alembic_version') IS NOT NULL")
            if not cursor.fetchall()[0][0]:
                return None
            cursor.execute("SELECT version_num FROM alembic_version")
            rows = cursor.fetchall()
            return str(rows[0][0]) if rows else None

    def close(self) -> None:
        """Closes the connections that are not in use."""
        self._engine.dispose()

    @contextmanager
    def cursor(self) -> Iterator[psycopg2.extensions.cursor]:
        """A cursor in autocommit, on a connection of the pool. A connection that breaks is not used again."""
        try:
            connection = self._engine.raw_connection()
        except (exc.OperationalError, exc.InterfaceError, exc.TimeoutError) as error:
            raise Unavailable from error
        try:
            with closing(connection.cursor()) as cursor:
                yield cursor  # type: ignore[misc]  # SQLAlchemy types it as any DBAPI cursor
        except _AWAY as error:
            if connection.dbapi_connection is not None and connection.dbapi_connection.closed:
                connection.invalidate(error)
            raise Unavailable from error
        finally:
            connection.close()


_USER_PREFIX = _prefix(USER_ROLE, "app.user_id")
_LOGIN_PREFIX = _prefix(LOGIN_ROLE, "app.email")


def _refuse_lost(connection: psycopg2.extensions.connection, *_: object) -> None:
    """An idle connection has nothing to read, unless the server has said goodbye: then the whole pool is made anew."""
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    if poll.poll(0):
        raise exc.InvalidatePoolError


def engine_url(url: str) -> URL:
    """The URL as SQLAlchemy wants it: `postgres://` is `postgresql://`, and the driver is psycopg2."""
    return make_url(url.replace("postgres://", "postgresql://", 1)).set(drivername="postgresql+psycopg2")
