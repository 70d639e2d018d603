"""The database: the engine, the scope a statement runs in, and nothing of the business.

A statement is compiled once, at start. It travels with the role and the user it runs as in one round trip: psycopg2 sends
`SET LOCAL ...; <statement>` as one simple query, which PostgreSQL runs as one implicit transaction. What is set so ends with
that transaction.

Each connection prepares a statement the first time it runs there, in that same round trip, and executes it from then on: planning is
up to six times the work of running. Behind a transaction-mode pooler, where the next statement may meet another session, the
first miss ends that, and statements are sent whole.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from time import perf_counter
from typing import Any

import psycopg2
import psycopg2.errors

from todo_api.config import ROLE_PREFIX, Roles
from todo_api.database.connection import EACH_TIME, STATEMENT_TIMEOUT, DatabaseTimeout
from todo_api.database.pool import Connection, Pool
from todo_api.database.statement import Row, Statement
from todo_api.database.transaction import Prefixes, Scope, Transaction
from todo_api.errors import Unavailable

READ_TIMEOUT = STATEMENT_TIMEOUT + 1
"""Seconds without an answer after which a connection is given up, because the database does not keep its own limits."""

_PREPARED = "prepared"
_AWAY = (
    psycopg2.OperationalError,
    psycopg2.InterfaceError,
    psycopg2.errors.ReadOnlySqlTransaction,  # a former primary during a failover
)
_LATE: dict[type[Exception], str] = {
    psycopg2.errors.QueryCanceled: "The database did not answer in time; nothing was changed.",
    psycopg2.errors.LockNotAvailable: "What the request needs is in use by others; nothing was changed.",
}

_LOST = "The connection to the database was lost; it is not known whether anything was changed."

_SHARED = (psycopg2.errors.InvalidSqlStatementName, psycopg2.errors.DuplicatePreparedStatement)

_log = logging.getLogger(__name__)


class _Spending:
    """What a function, or a thread, has spent at the database: statements, their seconds, and seconds of waiting for a connection."""

    __slots__ = ("seconds", "statements", "waited")

    def __init__(self) -> None:
        self.statements = 0
        self.seconds = 0.0
        self.waited = 0.0


_spending: ContextVar[_Spending] = ContextVar("spending")


class _LostError(psycopg2.OperationalError):
    """The connection ended in place of an answer. What became of the statement is not known.

    libpq does not tell whether it could send the statement. And it keeps the last error alone, which is that of the end of the
    connection: why the server or a pooler ended it, and so whether the statement was rolled back, is not to be had.
    """


class Database:
    """The pool of connections to one PostgreSQL, 15 or newer. Not to be shared across a fork."""

    def __init__(
        self,
        url: str,
        *,
        pool_size: int,
        watch: Callable[[int], None] = lambda _: None,
        role_prefix: str = ROLE_PREFIX,
    ) -> None:
        """For functions that `greenlets.spawn` runs on one event loop.

        `watch` is told of each connection that is taken into use, +1, and given back, -1.
        """
        self._watch = watch
        self.roles = Roles.named(role_prefix)
        self._prefixes = Prefixes.of(self.roles)
        self._pool = Pool(url, size=pool_size, read_timeout=READ_TIMEOUT)
        self.prepares = True
        """Whether statements are prepared: until a session turns out not to be ours alone."""

    def as_user(self, user_id: str) -> Scope:
        """The scope of one user: row-level security shows what is theirs, and nothing else."""
        return Scope(self, self._prefixes.user, user_id)

    def as_login(self, email: str) -> Scope:
        """The scope of one sign-in or registration: the account of this e-mail address, and no task."""
        return Scope(self, self._prefixes.login, email)

    def as_purge(self) -> Scope:
        """The scope of the purge: when what has expired was made and whose it is, to be deleted, and nothing else."""
        return Scope(self, self._prefixes.purge, "expired")

    def as_key(self, digest: str) -> Scope:
        """The scope of one look-up: the API key with this digest, and no task."""
        return Scope(self, self._prefixes.key, digest)

    @contextmanager
    def transaction(self, *, claim: int | None = None) -> Iterator[Transaction]:
        """Statements of which all take effect, when the block ends, or, when it raises, none.

        They hold a connection meanwhile, and the locks they take: the block waits for nothing else. The first travels with the BEGIN,
        and one that is sent with `Scope.last` with the COMMIT. `claim` is the number of an advisory lock to try at the
        beginning: statements find in the setting `app.claimed` whether it was free, `true` or `false`, and see what the one who
        had it before has left, since their snapshots are newer than the lock. It is free again after the end.
        """
        with self.connection() as connection:
            transaction = Transaction(_Line(self, connection), self._prefixes, claim)
            try:
                yield transaction
            except BaseException:
                transaction.abandon()
                raise
            transaction.end()

    def answer(self, prefix: str, statement: Statement, values: Mapping[str, Any]) -> list[Row]:
        """For `Scope`: the rows of one statement, on any connection. One that only reads is sent once more where that is lost."""
        try:
            return self._once(prefix, statement, values)
        except Unavailable as error:
            if not isinstance(error.__cause__, _LostError):
                raise
            if not statement.reads:
                raise Unavailable(_LOST) from error.__cause__
        _log.info("a connection to the database was lost; the statement, which only reads, is sent once more")
        return self._once(prefix, statement, values)

    def _once(self, prefix: str, statement: Statement, values: Mapping[str, Any]) -> list[Row]:
        with self.connection() as connection:
            return _Line(self, connection).answer(prefix, statement, values)

    def as_session(self, family: str) -> Scope:
        """The scope of one refresh or sign-out: the session of this family of refresh tokens, and no task."""
        return Scope(self, self._prefixes.session, family)

    def spent(self) -> tuple[int, float, float]:
        """What this function, or thread, has spent here since it was last asked: statements, their seconds, and those of waiting."""
        spent = _spent()
        _spending.set(_Spending())
        return spent.statements, spent.seconds, spent.waited

    def close(self) -> None:
        """Closes the connections that are not in use."""
        self._pool.close()

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """A connection of the pool, in autocommit. One on which the database did not answer is not used again."""
        began = perf_counter()
        try:
            connection = self._pool.take()
        finally:
            _spent().waited += perf_counter() - began
        self._watch(1)
        try:
            yield connection
        except DatabaseTimeout as error:
            self._pool.mark_unresponsive()
            connection.invalidate()
            raise Unavailable("The database does not answer. It is unknown whether the change was made.") from error
        except _AWAY as error:
            connection.invalidate()
            raise Unavailable(_LATE.get(type(error))) from error
        finally:
            self._watch(-1)
            self._pool.give_back(connection)


class _Line:
    """One connection of a database, while it is in use."""

    __slots__ = ("_connection", "_database")

    def __init__(self, database: Database, connection: Connection) -> None:
        self._database = database
        self._connection = connection

    @property
    def is_open(self) -> bool:
        return self._connection.is_open

    def answer(self, prefix: str, statement: Statement, values: Mapping[str, Any]) -> list[Row]:
        """The rows of one statement, prepared where that is possible."""
        if self._database.prepares:
            try:
                return self._prepared(prefix + self._settings(), statement, values)
            except _SHARED:
                self._database.prepares = False
                _log.info("the sessions of the database are not ours alone: a pooler; statements are sent whole")
        return self.send(prefix, statement, values)

    def send(self, prefix: str, statement: Statement, values: Mapping[str, Any], suffix: str = "") -> list[Row]:
        return _run(self._connection, prefix + self._settings() + statement.sql + suffix, values)

    def _settings(self) -> str:
        return "" if self._connection.has_settings else EACH_TIME

    def _prepared(self, prefix: str, statement: Statement, values: Mapping[str, Any]) -> list[Row]:
        connection = self._connection
        prepared: set[str] = connection.info.setdefault(_PREPARED, set())
        prepare = "" if statement.name in prepared else statement.prepare
        try:
            rows = _run(connection, prefix + prepare + statement.execute, values)
        except psycopg2.errors.FeatureNotSupported:
            # A migration changed the type of a column beside us: what was prepared before it is of no more use.
            anew = f"DEALLOCATE {statement.name};\n{statement.prepare}"
            return _run(connection, prefix + anew + statement.execute, values)
        except _SHARED:
            raise
        except (psycopg2.IntegrityError, psycopg2.DataError):
            prepared.add(statement.name)  # it ran, and so was prepared
            raise
        except psycopg2.Error:
            connection.invalidate()  # what is prepared there now is not known
            raise
        prepared.add(statement.name)
        return rows

    def run(self, sql: str) -> list[Row]:
        return _run(self._connection, sql)

    def lost(self, error: Exception) -> bool:
        if not isinstance(error, _AWAY) or isinstance(error, (*_LATE, DatabaseTimeout)):
            return False
        self._connection.invalidate()
        return True

    def give_up(self, error: Exception) -> None:
        self._connection.invalidate()


def _spent() -> _Spending:
    spent = _spending.get(None)
    if spent is None:
        spent = _Spending()
        _spending.set(spent)
    return spent


def _run(connection: Connection, sql: str, values: Mapping[str, Any] | None = None) -> list[Row]:
    began = perf_counter()
    try:
        return connection.run(sql, values)
    except DatabaseTimeout:
        raise
    except psycopg2.Error as error:
        if connection.is_lost:
            raise _LostError from error
        raise
    finally:
        spent = _spent()
        spent.seconds += perf_counter() - began
        spent.statements += 1
