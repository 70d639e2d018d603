"""The scope a statement runs in: its role, its user, and the transaction that it shares with others, if it does."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple, Protocol

import psycopg2

from todo_api.config import Roles
from todo_api.database.connection import STATEMENT_TIMEOUT
from todo_api.database.failures import LOST_AT_COMMIT, hides_commit
from todo_api.database.pool import Connection
from todo_api.database.statement import Row, Statement
from todo_api.errors import ConstraintViolated, Unavailable

Values = Mapping[str, Any]


def _prefix(role: str, setting: str) -> str:
    """`SET LOCAL` is run as it is read; `set_config` would be planned and answered with a row, for more than all the rest of a get."""
    return f"SET LOCAL ROLE {role}; SET LOCAL {setting} = %(scope)s;\n"


class Prefixes(NamedTuple):
    """What goes before the statements of each scope."""

    user: str
    login: str
    request: str
    purge: str
    key: str
    session: str

    @classmethod
    def of(cls, roles: Roles) -> "Prefixes":
        """Those of a deployment."""
        settings = ("app.email", "app.request", "app.purge", "app.key_digest", "app.session")
        return cls(_prefix(roles.user, "app.user_id"), *(_prefix(roles.login, setting) for setting in settings))


_BEGIN = (
    f"BEGIN ISOLATION LEVEL READ COMMITTED;\nSET LOCAL idle_in_transaction_session_timeout = '{STATEMENT_TIMEOUT}s';\n"
)
_CLAIM = "SELECT set_config('app.claimed', pg_try_advisory_xact_lock({})::text, true);\n"


class Executor(Protocol):
    """Where a scope sends its statements: a database, or a transaction."""

    def execute(self, prefix: str, statement: Statement, values: Values) -> list[Row]:
        """Return the rows of one statement."""


class Scope:
    """Statements as one role, with one value in one setting, which row-level security reads."""

    __slots__ = ("_executor", "_prefix", "_value")

    def __init__(self, executor: Executor, prefix: str, value: str) -> None:
        self._executor = executor
        self._prefix = prefix
        self._value = value

    def all(self, statement: Statement, parameters: Values) -> list[Row]:
        """The rows of one statement, in one round trip and, unless the scope is a transaction's, in one transaction of its own.

        Raises Unavailable where the database is out of reach, and ConstraintViolated.
        """
        try:
            return self._executor.execute(self._prefix, statement, {**parameters, "scope": self._value})
        except psycopg2.IntegrityError as error:
            raise ConstraintViolated(error.diag.constraint_name) from error

    def first(self, statement: Statement, parameters: Values) -> Row | None:
        """The first row of `all`, or None."""
        rows = self.all(statement, parameters)
        return rows[0] if rows else None

    def last(self, statement: Statement, parameters: Values) -> None:
        """Ends the transaction of the scope with this statement, in one round trip: then all of it holds, or, if this raises, nothing.

        Raises what `all` raises. Where the connection is lost, it is not known which: the Unavailable says so.
        """
        assert isinstance(self._executor, Transaction)  # noqa: S101  # only a transaction has an end
        try:
            self._executor.commit_with(self._prefix, statement, {**parameters, "scope": self._value})
        except psycopg2.IntegrityError as error:
            raise ConstraintViolated(error.diag.constraint_name) from error


class Scopes(Protocol):
    """Where statements can be run: a database, each in a transaction of its own, or a transaction."""

    def as_user(self, user_id: str) -> Scope:
        """The scope of one user."""

    def as_login(self, email: str) -> Scope:
        """The scope of one sign-in or registration."""

    def as_session(self, family: str) -> Scope:
        """The scope of one refresh or sign-out."""

    def transaction(self) -> "AbstractContextManager[Transaction]":
        """Statements that hold together."""


class Transaction:
    """Statements on one connection, all or none of which take effect. It has a database's scopes, so a service can be given either.

    Once a statement has failed, nothing of it takes effect. Its statements are sent whole: to prepare one that fails would end it.
    """

    def __init__(self, connection: Connection, prefixes: Prefixes, claim: int | None) -> None:
        self._connection = connection
        self._prefixes = prefixes
        self._begin = _BEGIN + ("" if claim is None else _CLAIM.format(claim))
        self._begun = self._failed = self._ended = False
        self._depth = 0

    def as_user(self, user_id: str) -> Scope:
        """As `Database.as_user`, within the transaction."""
        return Scope(self, self._prefixes.user, user_id)

    def as_login(self, email: str) -> Scope:
        """As `Database.as_login`, within the transaction."""
        return Scope(self, self._prefixes.login, email)

    def as_request(self, digest: str) -> Scope:
        """The scope of one request before a user is known: the reply that is kept for it, and nothing else."""
        return Scope(self, self._prefixes.request, digest)

    def as_session(self, family: str) -> Scope:
        """As `Database.as_session`, within the transaction."""
        return Scope(self, self._prefixes.session, family)

    @contextmanager
    def transaction(self) -> Iterator["Transaction"]:
        """Itself: what is asked in the block takes effect with all else, or not. Its end, and `Scope.last` in it, end nothing."""
        self._depth += 1
        try:
            yield self
        finally:
            self._depth -= 1

    def execute(self, prefix: str, statement: Statement, values: Values, suffix: str = "") -> list[Row]:
        """For `Scope`: the rows of one statement. The first travels with the BEGIN."""
        if self._ended or not self._connection.is_open:
            raise Unavailable
        begin, self._begin, self._begun = self._begin, "", True
        try:
            return self._connection.send(begin + prefix, statement, values, suffix)
        except psycopg2.Error:
            self._failed = True
            raise

    def commit_with(self, prefix: str, statement: Statement, values: Values) -> None:
        """For `Scope`: the last statement, in one round trip with the COMMIT, unless this is a transaction within another."""
        if self._depth:
            self.execute(prefix, statement, values)
        else:
            self._end(lambda: self.execute(prefix, statement, values, ";\nCOMMIT"))

    def commit(self) -> None:
        """Commit what was asked, if anything was."""
        if self._begun and not self._ended:
            self._end(self._commit)

    def _commit(self) -> None:
        if not self._connection.is_open:
            raise Unavailable
        self._connection.run("COMMIT")

    def _end(self, end: Callable[[], object]) -> None:
        if self._failed:  # PostgreSQL would answer the COMMIT with a ROLLBACK, and without an error
            self.rollback()
            raise RuntimeError("A statement of the transaction has failed, and its error was not handed on.")
        try:
            end()
        except psycopg2.Error as error:
            if not hides_commit(error):
                raise
            self._connection.invalidate()
            raise Unavailable(LOST_AT_COMMIT) from error
        self._ended = True

    def rollback(self) -> None:
        """Undo all of it."""
        if not self._begun or self._ended or not self._connection.is_open:
            return
        try:
            self._connection.run("ROLLBACK")
        except psycopg2.Error:
            self._connection.invalidate()  # whose loss undoes it as well
