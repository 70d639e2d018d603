"""Connections to PostgreSQL for threads: SQLAlchemy's pool of psycopg2's, whose functions block, watched by a thread of their own.

For what runs beside the requests: readiness, the purge, the command line, tests. Requests have those of `loop_connections`.
"""

import select
import threading
from collections.abc import Mapping
from contextlib import closing
from time import monotonic
from typing import Any

import psycopg2
import sqlalchemy
from sqlalchemy import event, exc
from sqlalchemy.pool import PoolProxiedConnection

from todo_api.database.connection import IN_USE, POOL_TIMEOUT, UUID_TEXT, Attempts, SilentError, connect
from todo_api.database.statement import Row
from todo_api.database.watchdog import WATCHDOG, Watch
from todo_api.errors import Unavailable

_MADE = "made"
_REFUSED = (psycopg2.OperationalError, psycopg2.InterfaceError, exc.OperationalError, exc.InterfaceError)


class _Making(threading.local):
    """`watch` watches the connection that the thread is making."""

    watch: Watch | None = None


_making = _Making()


class ThreadConnection:
    """One connection, in autocommit. For one thread at a time."""

    has_settings = False

    def __init__(self, proxied: PoolProxiedConnection, silence: float) -> None:
        """An answer is waited for `silence` seconds."""
        self._proxied = proxied
        self._silence = silence
        self.info: dict[Any, Any] = proxied.info
        """What is known of the session, for as long as it lasts."""

    @property
    def is_valid(self) -> bool:
        """Whether it was not given up."""
        return self._proxied.is_valid

    @property
    def is_lost(self) -> bool:
        """Whether it has ended, as is known after an error."""
        return bool(getattr(self._proxied.dbapi_connection, "closed", False))

    def run(self, sql: str, values: Mapping[str, Any] | None = None) -> list[Row]:
        """The rows of the last of the statements. Raises psycopg2's errors, SilentError among them."""
        watch = WATCHDOG.begin(self._proxied.dbapi_connection, self._silence)
        try:
            with closing(self._proxied.cursor()) as cursor:
                cursor.execute(sql, values)
                return list(cursor.fetchall()) if cursor.description else []
        except psycopg2.Error as error:
            if not WATCHDOG.end(watch):
                raise SilentError from error
            raise
        finally:
            WATCHDOG.end(watch)

    def invalidate(self, error: BaseException | None = None) -> None:
        """Gives it up: nobody gets it again."""
        if self.is_valid:
            self._proxied.invalidate(error)

    def close(self) -> None:
        """Gives it back."""
        self._proxied.close()


class ThreadConnections:
    """At most `size` connections, opened when they are needed. Safe to share between threads, not across a fork."""

    def __init__(self, url: str, *, size: int, silence: float) -> None:
        """An answer is waited for `silence` seconds."""
        self._silence = silence
        self._url = url
        self._engine = sqlalchemy.create_engine(
            "postgresql+psycopg2://",
            creator=self._connect,
            isolation_level="AUTOCOMMIT",
            pool_size=size,
            max_overflow=0,
            pool_timeout=POOL_TIMEOUT,
        )
        self._attempts = Attempts()
        self._silent_at = 0.0
        event.listen(self._engine, "connect", _keep_ids_as_text)
        event.listen(self._engine, "connect", _connected)
        event.listen(self._engine, "checkout", self._refuse_lost)

    def take(self) -> ThreadConnection:
        """A connection that nobody else has. Raises Unavailable where none is free in time, or none can be made."""
        try:
            return ThreadConnection(self._engine.raw_connection(), self._silence)
        except exc.TimeoutError as error:
            raise Unavailable(IN_USE) from error
        except _REFUSED as error:
            if not _stop_watching():
                self._attempts.failed()
            raise Unavailable from error

    def silent(self) -> None:
        """The database does not answer: what was made before is given up as well, and nothing new tried for a while."""
        self._silent_at = monotonic()
        self._attempts.failed()

    def close(self) -> None:
        """Closes the connections that are not in use."""
        self._engine.dispose()

    def _connect(self) -> psycopg2.extensions.connection:
        """A new connection, which is watched until it is ready for use."""
        with self._attempts.one():
            connection = connect(self._url)
        _making.watch = WATCHDOG.begin(connection, self._silence)
        return connection

    def _refuse_lost(self, connection: psycopg2.extensions.connection, record: Any, _: object) -> None:
        """An idle connection has nothing to read, unless the server has said goodbye: then the whole pool is made anew.

        So it is where another connection got no answer since this one was made.
        """
        poll = select.poll()
        poll.register(connection.fileno(), select.POLLIN)
        if poll.poll(0) or record.info[_MADE] < self._silent_at:
            raise exc.InvalidatePoolError


def _keep_ids_as_text(connection: psycopg2.extensions.connection, _: object) -> None:
    psycopg2.extensions.register_type(UUID_TEXT, connection)  # SQLAlchemy has registered another for this connection


def _connected(_: object, record: Any) -> None:
    """The connection is ready: SQLAlchemy has asked what it asks of new ones."""
    record.info[_MADE] = monotonic()
    _stop_watching()


def _stop_watching() -> bool:
    """Whether the connection that this thread is making, if it is, was made in time."""
    watch, _making.watch = _making.watch, None
    return watch is None or WATCHDOG.end(watch)
