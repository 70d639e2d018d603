"""Sessions as a role and user, and transactions that several statements share."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import psycopg2

from todo_api.config import Roles
from todo_api.database.connection import STATEMENT_TIMEOUT
from todo_api.database.failures import LOST_AT_COMMIT, hides_commit
from todo_api.database.pool import Connection
from todo_api.database.statement import Row, Statement
from todo_api.errors import ConstraintViolated, Unavailable

Values = Mapping[str, Any]


def _prefix(role: str, setting: str, parameter: str = "scope") -> str:
    """Return the settings of a role.

    `set_config` would be planned and answered, which takes most of the time of a get.
    """
    return f"SET LOCAL ROLE {role}; SET LOCAL {setting} = %({parameter})s;\n"


_ACTOR = "SET LOCAL app.actor = %(actor)s;\n"
"""Precedes a write for a caller: who does it, for the history."""


_OF_LOGIN = (
    *("email", "request", "purge", "key_digest", "session", "one_time_token", "operator", "sender", "waiting"),
    *("trash_days", "history_days"),
)
"""Settings that open something to the login role: `todo_api.config.Roles` says what."""


def prefixes_of(roles: Roles, of_users: str = "") -> dict[str, str]:
    """Return what precedes a session's statements, by its setting. A user's has `of_users` too."""
    prefixes = {name: _prefix(roles.login, f"app.{name}") for name in _OF_LOGIN}
    return prefixes | {"user_id": _prefix(roles.user, "app.user_id", "user_id") + of_users}


_BEGIN = (
    f"BEGIN ISOLATION LEVEL READ COMMITTED;\nSET LOCAL idle_in_transaction_session_timeout = '{STATEMENT_TIMEOUT}s';\n"
)
_CLAIM = "SELECT set_config('app.claimed', pg_try_advisory_xact_lock({})::text, true);\n"


class RoleSession:
    """A session as a role, with one setting that row-level security reads.

    With an `actor` its writes are theirs in the history: the kind of the credential and its id. In
    a transaction so is what follows. A user's id is the `user_id` of statements as well, since
    psycopg2 takes 6,500 instructions to quote a text.
    """

    __slots__ = ("_executor", "_prefix", "_values", "_writing")

    def __init__(self, executor: "RoleSessions", prefix: str, values: Values, actor: str | None = None) -> None:
        """`values` are those of the prefix. They precede those of a statement."""
        self._executor = executor
        self._prefix = prefix
        self._writing = prefix if actor is None else prefix + _ACTOR
        self._values = {**values, "actor": actor}

    def fetch_all(self, statement: Statement, parameters: Values) -> list[Row]:
        """Return the rows of a statement, in one round trip, and outside transactions in its own.

        Raise Unavailable or ConstraintViolated.
        """
        try:
            prefix = self._prefix if statement.reads else self._writing
            return self._executor.execute(prefix, statement, {**parameters, **self._values})
        except psycopg2.IntegrityError as error:
            raise ConstraintViolated(error.diag.constraint_name) from error

    def fetch_one(self, statement: Statement, parameters: Values) -> Row | None:
        """Return the first row, or None."""
        rows = self.fetch_all(statement, parameters)
        return rows[0] if rows else None

    def execute_and_commit(self, statement: Statement, parameters: Values) -> None:
        """Run the last statement and COMMIT in one round trip. Raise what `fetch_all` raises.

        If the connection is lost, the outcome is unknown, as the Unavailable says.
        """
        assert isinstance(self._executor, Transaction)  # noqa: S101  # only a transaction has an end
        try:
            self._executor.commit_with(self._writing, statement, {**parameters, **self._values})
        except psycopg2.IntegrityError as error:
            raise ConstraintViolated(error.diag.constraint_name) from error


class RoleSessions:
    """Makes sessions: a database, each statement in its own transaction, or a transaction.

    Services accept either.
    """

    _prefixes: Mapping[str, str]

    def as_user(self, user_id: str, actor: str | None = None) -> RoleSession:
        """Return the session of a user: row-level security shows only their rows.

        With `actor`, its writes are told as theirs in the history.
        """
        return RoleSession(self, self._prefixes["user_id"], {"user_id": user_id}, actor)

    def as_login(self, email: str) -> RoleSession:
        """Return the session of a sign-in or registration, which sees this address's account."""
        return RoleSession(self, self._prefixes["email"], {"scope": email})

    def as_session(self, family: str) -> RoleSession:
        """Return the session of a refresh or sign-out: it sees this family of refresh tokens."""
        return RoleSession(self, self._prefixes["session"], {"scope": family})

    def as_one_time_token(self, digest: str) -> RoleSession:
        """Return the session of a look-up: it sees the one-time token with this digest."""
        return RoleSession(self, self._prefixes["one_time_token"], {"scope": digest})

    def execute(self, prefix: str, statement: Statement, values: Values) -> list[Row]:
        """Return the rows of a statement. For `RoleSession`."""
        raise NotImplementedError

    def transaction(self) -> "AbstractContextManager[Transaction]":
        """Run the statements of the block in one transaction."""
        raise NotImplementedError


class Transaction(RoleSessions):
    """Statements on one connection, of which all or none take effect.

    After a failed statement nothing takes effect. Statements are sent whole, since a failed PREPARE
    would end the transaction.
    """

    def __init__(self, connection: Connection, prefixes: Mapping[str, str], claim: int | None) -> None:
        self._connection = connection
        self._prefixes = prefixes
        self._begin = _BEGIN + ("" if claim is None else _CLAIM.format(claim))
        self._begun = self._failed = self._ended = False
        self._depth = 0

    def as_request(self, digest: str) -> RoleSession:
        """Return the session of a request without a user: it sees the reply stored for it."""
        return RoleSession(self, self._prefixes["request"], {"scope": digest})

    @contextmanager
    def transaction(self) -> Iterator["Transaction"]:
        """Yield the transaction itself. The end of the block ends nothing."""
        self._depth += 1
        try:
            yield self
        finally:
            self._depth -= 1

    def execute(self, prefix: str, statement: Statement, values: Values, suffix: str = "") -> list[Row]:
        """Return the rows of a statement. The first one travels with the BEGIN."""
        if self._ended or not self._connection.is_open:
            raise Unavailable
        begin, self._begin, self._begun = self._begin, "", True
        try:
            return self._connection.send(begin + prefix, statement, values, suffix)
        except psycopg2.Error:
            self._failed = True
            raise

    def commit_with(self, prefix: str, statement: Statement, values: Values) -> None:
        """Execute the last statement with the COMMIT, unless this is a nested transaction."""
        if self._depth:
            self.execute(prefix, statement, values)
        else:
            self._end(lambda: self.execute(prefix, statement, values, ";\nCOMMIT"))

    def commit(self) -> None:
        """Commit, if a statement was sent."""
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
        """Roll back. Nothing can be sent or committed any more."""
        if not self._begun or self._ended or not self._connection.is_open:
            return
        self._ended = True
        try:
            self._connection.run("ROLLBACK")
        except psycopg2.Error:
            self._connection.invalidate()  # its loss rolls back too
