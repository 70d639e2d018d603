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
from time import perf_counter
from typing import Any

from todo_api.config import ROLE_PREFIX, Roles
from todo_api.database.connection import STATEMENT_TIMEOUT
from todo_api.database.failures import AWAY, LATE, LOST, SILENT, ConnectionLost, DatabaseTimeout
from todo_api.database.pool import Connection, Pool
from todo_api.database.spending import spending, spent
from todo_api.database.statement import Row, Statement
from todo_api.database.transaction import Prefixes, Scope, Transaction
from todo_api.errors import Unavailable

READ_TIMEOUT = STATEMENT_TIMEOUT + 1
"""Seconds without an answer after which a connection is given up, because the database does not keep its own limits."""

_log = logging.getLogger(__name__)


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
            transaction = Transaction(connection, self._prefixes, claim)
            try:
                yield transaction
            except BaseException:
                transaction.rollback()
                raise
            transaction.commit()

    def execute(self, prefix: str, statement: Statement, values: Mapping[str, Any]) -> list[Row]:
        """For `Scope`: the rows of one statement, on any connection. One that only reads is sent once more if that is lost."""
        try:
            with self.connection() as connection:
                return connection.execute(prefix, statement, values)
        except Unavailable as error:
            if not isinstance(error.__cause__, ConnectionLost):
                raise
            if not statement.reads:
                raise Unavailable(LOST) from error.__cause__
        _log.info("a connection to the database was lost; the statement, which only reads, is sent once more")
        with self.connection() as connection:
            return connection.execute(prefix, statement, values)

    def as_session(self, family: str) -> Scope:
        """The scope of one refresh or sign-out: the session of this family of refresh tokens, and no task."""
        return Scope(self, self._prefixes.session, family)

    def spent(self) -> tuple[int, float, float]:
        """What this function, or thread, has spent here since it was last asked: statements, their seconds, and those of waiting."""
        return spent()

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
            spending().waited += perf_counter() - began
        self._watch(1)
        try:
            yield connection
        except DatabaseTimeout as error:
            self._pool.mark_unresponsive()
            connection.invalidate()
            raise Unavailable(SILENT) from error
        except AWAY as error:
            connection.invalidate()
            raise Unavailable(LATE.get(type(error))) from error
        finally:
            self._watch(-1)
            self._pool.give_back(connection)
