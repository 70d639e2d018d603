"""The database: a pool of connections, and sessions as a role.

A statement is compiled once. It travels with its role and user in one round trip: psycopg2 sends
`SET LOCAL ...; <statement>` as one simple query, which PostgreSQL runs as one implicit transaction,
so the settings end with it.

A connection prepares a statement on its first use, in the same round trip, and from then on only
executes it: planning takes up to six times the work of running. A pooler in transaction mode may
lead to a session that lacks the prepared statement. Then the connection prepares no more.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import perf_counter
from types import TracebackType
from typing import Any

from todo_api.config import ROLE_PREFIX, Roles
from todo_api.database.connection import STATEMENT_TIMEOUT
from todo_api.database.failures import AWAY, LATE, LOST, SILENT, ConnectionLost, DatabaseTimeout
from todo_api.database.pool import Connection, Pool
from todo_api.database.spending import spending
from todo_api.database.statement import Row, Statement
from todo_api.database.transaction import RoleSession, RoleSessions, Transaction, prefixes_of
from todo_api.errors import Unavailable

READ_TIMEOUT = STATEMENT_TIMEOUT + 1
"""Seconds without an answer after which a connection is given up."""

BETWEEN_USERS = "\x1f"
"""Stands between the ids of several users. No id has a control character."""

_log = logging.getLogger(__name__)


class Database(RoleSessions):
    """Pool of connections to PostgreSQL 15 or newer. Do not share it across a fork."""

    def __init__(
        self,
        url: str,
        *,
        pool_size: int,
        watch: Callable[[int], None] = lambda _: None,
        role_prefix: str = ROLE_PREFIX,
        has_trash: bool = True,
    ) -> None:
        """Make a pool for functions that `greenlets.spawn` runs on one event loop.

        `watch` is called with +1 when a connection is taken into use, with -1 when it is returned.
        Unless it `has_trash`, whatever is deleted is gone.
        """
        self._watch = watch
        self.roles = Roles.named(role_prefix)
        self._prefixes = prefixes_of(self.roles, "" if has_trash else "SET LOCAL app.permanent = on;\n")
        self._pool = Pool(url, size=pool_size, read_timeout=READ_TIMEOUT)

    def as_purge(self) -> RoleSession:
        """Return the session of the purge: it sees and deletes only expired rows."""
        return RoleSession(self, self._prefixes["purge"], {"scope": "expired"})

    def as_key(self, digest: str) -> RoleSession:
        """Return the session of a look-up: it sees the API key with this digest."""
        return RoleSession(self, self._prefixes["key_digest"], {"scope": digest})

    def as_operator(self) -> RoleSession:
        """Return the session of an operator's list: it sees the users, and nothing of theirs."""
        return RoleSession(self, self._prefixes["operator"], {"scope": "list"})

    def as_sender(self) -> RoleSession:
        """Return the session of the sender of mail: it sees the outbox of all users."""
        return RoleSession(self, self._prefixes["sender"], {"scope": "outbox"})

    def as_waiting(self, user_ids: Sequence[str]) -> RoleSession:
        """Return the session of requests that wait: it sees the numbers of these users."""
        return RoleSession(self, self._prefixes["waiting"], {"scope": BETWEEN_USERS.join(user_ids)})

    def as_trash_purge(self, days: int) -> RoleSession:
        """Return the session of the purge of the trash: it sees what is there for more `days`."""
        return RoleSession(self, self._prefixes["trash_days"], {"scope": str(days)})

    def as_history_purge(self, days: int) -> RoleSession:
        """Return the session of the history's purge: it sees and deletes what is older."""
        return RoleSession(self, self._prefixes["history_days"], {"scope": str(days)})

    @contextmanager
    def transaction(self, *, claim: int | None = None) -> Iterator[Transaction]:
        """Run the statements of the block in one transaction. It rolls back if the block raises.

        The block holds a connection and locks, so it must wait for nothing else. The first
        statement travels with the BEGIN, one of `execute_and_commit` with the COMMIT.

        `claim` is the number of an advisory lock. The transaction first tries to take it, and the
        setting `app.claimed` says to the statements whether it could (`true` or `false`). They see
        what the lock's last holder committed.
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
        """Return the rows of a statement. A read is retried once if the connection was lost."""
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

    def close(self) -> None:
        """Close the idle connections."""
        self._pool.close()

    def connection(self) -> "Lease":
        """Lease a connection in autocommit."""
        return Lease(self._pool, self._watch)


class Lease:
    """A connection for the time of a block. It is discarded if the database did not answer.

    A class, since a generator of `contextmanager` costs a statement a microsecond more.
    """

    __slots__ = ("_connection", "_pool", "_watch")

    def __init__(self, pool: Pool, watch: Callable[[int], None]) -> None:
        self._pool = pool
        self._watch = watch

    def __enter__(self) -> Connection:
        """Take a connection from the pool. Raise Unavailable."""
        began = perf_counter()
        try:
            self._connection = self._pool.take()
        finally:
            spending().waited += perf_counter() - began
        self._watch(1)
        return self._connection

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        """Give it back. Raise Unavailable if the database is away or late."""
        try:
            if error is not None:
                self._judge(error)
        finally:
            self._watch(-1)
            self._pool.give_back(self._connection)

    def _judge(self, error: BaseException) -> None:
        if isinstance(error, DatabaseTimeout):
            self._pool.mark_unresponsive()
            self._connection.invalidate()
            raise Unavailable(SILENT) from error
        if isinstance(error, AWAY):
            self._connection.invalidate()
            raise Unavailable(LATE.get(type(error))) from error
