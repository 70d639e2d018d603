"""The scope a statement runs in: its role, its user, and the transaction that it shares with others, if it does."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple, Protocol

import psycopg2

from todo_api.config import Roles
from todo_api.database.connection import STATEMENT_TIMEOUT
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
_UNKNOWN = "The connection to the database was lost at the last moment: whether the change was made is not known."


class Place(Protocol):
    """Where a scope sends its statements."""

    def answer(self, prefix: str, statement: Statement, values: Values) -> list[Row]:
        """The rows of one statement."""


class Line(Protocol):
    """A connection, for as long as it is in use."""

    @property
    def is_open(self) -> bool:
        """Whether it can still be used."""

    def send(self, prefix: str, statement: Statement, values: Values, suffix: str = "") -> list[Row]:
        """The rows of one statement, which is not prepared."""

    def run(self, sql: str) -> list[Row]:
        """The rows of what is not prepared."""

    def lost(self, error: Exception) -> bool:
        """Whether the error leaves it open what became of the statement; then the connection is not used again."""

    def give_up(self, error: Exception) -> None:
        """Closes it for good."""


class Scope:
    """Statements as one role, with one value in one setting, which row-level security reads."""

    __slots__ = ("_place", "_prefix", "_value")

    def __init__(self, place: Place, prefix: str, value: str) -> None:
        self._place = place
        self._prefix = prefix
        self._value = value

    def all(self, statement: Statement, parameters: Values) -> list[Row]:
        """The rows of one statement, in one round trip and, unless the scope is a transaction's, in one transaction of its own.

        Raises Unavailable where the database is out of reach, and ConstraintViolated.
        """
        try:
            return self._place.answer(self._prefix, statement, {**parameters, "scope": self._value})
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
        assert isinstance(self._place, Transaction)  # noqa: S101  # only a transaction has an end
        try:
            self._place.end(self._prefix, statement, {**parameters, "scope": self._value})
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

    def __init__(self, line: Line, prefixes: Prefixes, claim: int | None) -> None:
        self._line = line
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

    def answer(self, prefix: str, statement: Statement, values: Values, suffix: str = "") -> list[Row]:
        """For `Scope`: the rows of one statement."""
        if self._ended or not self._line.is_open:
            raise Unavailable
        begin, self._begin, self._begun = self._begin, "", True
        try:
            return self._line.send(begin + prefix, statement, values, suffix)
        except psycopg2.Error:
            self._failed = True
            raise

    def end(self, prefix: str = "", statement: Statement | None = None, values: Values | None = None) -> None:
        """Makes it hold, with one more statement or without. Nothing is sent where nothing was asked."""
        if self._depth and statement is not None:
            self.answer(prefix, statement, values or {})
            return
        if self._ended or not (self._begun or statement):
            return
        if self._failed:  # PostgreSQL would answer the COMMIT with a ROLLBACK, and without an error
            self.abandon()
            raise RuntimeError("A statement of the transaction has failed, and its error was not handed on.")
        try:
            if statement is not None:
                self.answer(prefix, statement, values or {}, ";\nCOMMIT")
            elif not self._line.is_open:
                raise Unavailable
            else:
                self._line.run("COMMIT")
        except psycopg2.Error as error:
            if self._line.lost(error):
                raise Unavailable(_UNKNOWN) from error
            raise
        self._ended = True

    def abandon(self) -> None:
        """Undoes all of it."""
        if not self._begun or self._ended or not self._line.is_open:
            return
        try:
            self._line.run("ROLLBACK")
        except psycopg2.Error as error:
            self._line.give_up(error)  # whose loss undoes it as well
