"""The database: the engine, the scope a statement runs in, and nothing of the business.

A statement is compiled once, at start. It travels with the role and the user it runs as in one round trip: psycopg2 sends
`SELECT set_config(...); <statement>` as one simple query, which PostgreSQL runs as one implicit transaction. `set_config`
with `is_local` ends with that transaction.

Each connection prepares a statement the first time it runs there, in that same round trip, and executes it from then on: planning is
up to six times the work of running. Behind a transaction-mode pooler, where the next statement may meet another session, the
first miss ends that, and statements are sent whole.
"""

import logging
import re
import select
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from hashlib import sha256
from time import perf_counter
from typing import Any

import psycopg2
import psycopg2.errors
import psycopg2.extensions
import sqlalchemy
from sqlalchemy import ColumnElement, bindparam, cast, event, exc
from sqlalchemy.dialects.postgresql import psycopg2 as dialect
from sqlalchemy.engine import URL, make_url
from sqlalchemy.pool import PoolProxiedConnection

from todo_api.errors import Unavailable
from todo_api.models import LOGIN_ROLE, USER_ROLE

CONNECT_TIMEOUT = 2
"""Seconds to wait for a connection."""

POOL_TIMEOUT = 2
"""Seconds to wait for a free connection of the pool."""

STATEMENT_TIMEOUT = "5s"

Row = tuple[Any, ...]

_PREPARED = "prepared"
_UUID_TEXT = psycopg2.extensions.new_type((2950,), "UUID_TEXT", psycopg2.STRING)
_DIALECT = dialect.dialect(paramstyle="pyformat")
_AWAY = (
    psycopg2.OperationalError,
    psycopg2.InterfaceError,
    psycopg2.errors.ReadOnlySqlTransaction,  # a former primary during a failover
    psycopg2.errors.IdleInTransactionSessionTimeout,
    psycopg2.errors.TransactionTimeout,
)
_LATE = (psycopg2.errors.QueryCanceled, psycopg2.errors.LockNotAvailable)

_LOST_HOSTS = {"keepalives_idle": 5, "keepalives_interval": 1, "keepalives_count": 3, "tcp_user_timeout": 5000}
"""A host that vanishes without a word is given up after seconds, not hours (libpq; without effect on unix sockets)."""

_log = logging.getLogger(__name__)


class _Spending(threading.local):
    """What a thread has spent at the database: statements, their seconds, and seconds of waiting for a connection."""

    statements = 0
    seconds = 0.0
    waited = 0.0


_spending = _Spending()


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


def given(name: str, kind: Any) -> ColumnElement[Any]:
    """A parameter of a statement, of a type of SQLAlchemy's."""
    return cast(bindparam(name, type_=kind), kind)


class Statement:
    """A SQLAlchemy Core statement, compiled once, with its constants written in: whole, to prepare, and to execute."""

    __slots__ = ("execute", "name", "prepare", "sql")

    def __init__(self, statement: sqlalchemy.Executable) -> None:
        compiled = statement.compile(dialect=_DIALECT)  # type: ignore[attr-defined]  # every Executable of Core has it
        sql = str(compiled)
        for name, value in compiled.params.items():
            if value is not None:
                sql = sql.replace(f"%({name})s", _literal(value))
        self.sql = sql
        self.name = f"s_{sha256(sql.encode()).hexdigest()[:32]}"
        names = list(dict.fromkeys(re.findall(r"%\((\w+)\)s", sql)))
        types = [compiled.binds[name].type.compile(dialect=_DIALECT) for name in names]
        for number, name in enumerate(names, start=1):
            sql = sql.replace(f"%({name})s", f"${number}")
        self.prepare = f"PREPARE {self.name} ({', '.join(types)}) AS {sql};\n"
        self.execute = f"EXECUTE {self.name} ({', '.join(f'%({name})s' for name in names)})"


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
        with self._database.connection() as connection:
            if not self._database.prepares:
                return _run(connection, self._prefix + statement.sql, values)
            prepared: set[str] = connection.info.setdefault(_PREPARED, set())
            prepare = "" if statement.name in prepared else statement.prepare
            try:
                rows = _run(connection, self._prefix + prepare + statement.execute, values)
            except (psycopg2.errors.InvalidSqlStatementName, psycopg2.errors.DuplicatePreparedStatement):
                self._database.prepares = False
                _log.info("the sessions of the database are not ours alone: a pooler; statements are sent whole")
                return _run(connection, self._prefix + statement.sql, values)
            except psycopg2.errors.FeatureNotSupported:
                # A migration changed the type of a column beside us: what was prepared before it is of no more use.
                anew = f"DEALLOCATE {statement.name};\n{statement.prepare}"
                return _run(connection, self._prefix + anew + statement.execute, values)
            except (psycopg2.IntegrityError, psycopg2.DataError):
                prepared.add(statement.name)  # it ran, and so was prepared
                raise
            except psycopg2.Error as error:
                connection.invalidate(error)  # what is prepared there now is not known
                raise
            prepared.add(statement.name)
            return rows

    def first(self, statement: Statement, parameters: Mapping[str, Any]) -> Row | None:
        """The first row of `all`, or None."""
        rows = self.all(statement, parameters)
        return rows[0] if rows else None


class Database:
    """The pool of connections to one PostgreSQL, 15 or newer. Safe to share between threads, not across a fork."""

    def __init__(self, url: str, *, pool_size: int, watch: Callable[[int], None] = lambda _: None) -> None:
        """`watch` is told of each connection that is taken into use, +1, and given back, -1, from any thread."""
        self._watch = watch
        self._engine = sqlalchemy.create_engine(
            engine_url(url),
            isolation_level="AUTOCOMMIT",
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=POOL_TIMEOUT,
            connect_args={"connect_timeout": CONNECT_TIMEOUT, "application_name": "task-api", **_LOST_HOSTS},
        )
        event.listen(self._engine, "connect", _keep_uuids_as_text)
        event.listen(self._engine, "checkout", _refuse_lost)
        self.prepares = True
        """Whether statements are prepared: until a session turns out not to be ours alone."""

    def as_user(self, user_id: str) -> Scope:
        """The scope of one user: row-level security shows what is theirs, and nothing else."""
        return Scope(self, _USER_PREFIX, user_id)

    def as_login(self, email: str) -> Scope:
        """The scope of one sign-in or registration: the account of this e-mail address, and no task."""
        return Scope(self, _LOGIN_PREFIX, email)

    def ping(self) -> None:
        """Asks for an answer. Raises Unavailable where there is none."""
        with self.connection() as connection:
            _run(connection, "SELECT 1")

    def revision(self) -> str | None:
        """The revision of the schema, None before the first migration. Raises Unavailable."""
        with self.connection() as connection:
            try:
                rows = _run(connection, "SELECT version_num FROM alembic_version")
            except psycopg2.errors.UndefinedTable:
                return None
            return str(rows[0][0]) if rows else None

    def spent(self) -> tuple[int, float, float]:
        """What this thread has spent here since it was last asked: statements, seconds, seconds of waiting for a connection."""
        spent = (_spending.statements, _spending.seconds, _spending.waited)
        _spending.statements, _spending.seconds, _spending.waited = 0, 0.0, 0.0
        return spent

    def close(self) -> None:
        """Closes the connections that are not in use."""
        self._engine.dispose()

    @contextmanager
    def connection(self) -> Iterator[PoolProxiedConnection]:
        """A connection of the pool, in autocommit. One on which the database did not answer is not used again."""
        began = perf_counter()
        try:
            connection = self._engine.raw_connection()
        except (*_AWAY, exc.OperationalError, exc.InterfaceError, exc.TimeoutError) as error:
            raise Unavailable from error
        finally:
            _spending.waited += perf_counter() - began
        self._watch(1)
        try:
            yield connection
        except _AWAY as error:
            connection.invalidate(error)
            raise Unavailable("The database did not answer in time." if isinstance(error, _LATE) else None) from error
        finally:
            self._watch(-1)
            connection.close()


_USER_PREFIX = _prefix(USER_ROLE, "app.user_id")
_LOGIN_PREFIX = _prefix(LOGIN_ROLE, "app.email")


def _run(connection: PoolProxiedConnection, sql: str, values: Mapping[str, Any] | None = None) -> list[Row]:
    began = perf_counter()
    try:
        with closing(connection.cursor()) as cursor:
            cursor.execute(sql, values)
            return list(cursor.fetchall())
    finally:
        _spending.seconds += perf_counter() - began
        _spending.statements += 1


def _keep_uuids_as_text(connection: psycopg2.extensions.connection, _: object) -> None:
    """SQLAlchemy makes each UUID an object, in Python, for it to be made text again in the reply."""
    psycopg2.extensions.register_type(_UUID_TEXT, connection)


def _refuse_lost(connection: psycopg2.extensions.connection, *_: object) -> None:
    """An idle connection has nothing to read, unless the server has said goodbye: then the whole pool is made anew."""
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    if poll.poll(0):
        raise exc.InvalidatePoolError


def engine_url(url: str) -> URL:
    """The URL as SQLAlchemy wants it: `postgres://` is `postgresql://`, and the driver is psycopg2."""
    return make_url(url.replace("postgres://", "postgresql://", 1)).set(drivername="postgresql+psycopg2")
