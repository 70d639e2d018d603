"""SQLAlchemy's pool of psycopg2's asynchronous connections, for functions of `greenlets.spawn`.

While a statement runs, its function waits and the loop runs on. SQLAlchemy's pool assigns
connections and limits the wait. They open on first use: one that cannot be opened is returned, and
so wakes the next waiter.
"""

import asyncio
import logging
import select
from collections.abc import Mapping
from functools import partial
from time import perf_counter
from typing import Any

import psycopg2
import psycopg2.errors
import psycopg2.extensions
from psycopg2.extensions import POLL_OK, POLL_READ, POLL_WRITE, parse_dsn
from sqlalchemy import exc
from sqlalchemy.pool import AsyncAdaptedQueuePool, ConnectionPoolEntry

from todo_api.database.connection import (
    CONNECT_TIMEOUT,
    EACH_TIME,
    IN_USE,
    POOL_TIMEOUT,
    STRINGS_ADVICE,
    TAKE_SETTINGS,
    TIME_AS_TEXT,
    TYPES,
    ConnectBackoff,
    options,
    refuse_other_strings,
)
from todo_api.database.failures import SHARED_SESSION, ConnectionLost, DatabaseTimeout
from todo_api.database.greenlets import wait
from todo_api.database.spending import spending
from todo_api.database.statement import Row, Statement
from todo_api.database.url import each_host, parameters
from todo_api.errors import Unavailable

SWEEP = 0.25
"""Seconds between checks for unanswered statements."""

CONNECTION_OK = 0
"""libpq's status of a usable connection."""

SENT_AT_ONCE = 16 * 1024
"""Bytes that an idle socket of any kind accepts at once."""

_log = logging.getLogger(__name__)


class Connection:
    """A connection in autocommit, for one function at a time."""

    has_settings = False
    """Whether its session has SETTINGS. Else they are sent with each statement."""
    entry: ConnectionPoolEntry | None = None
    """Entry of SQLAlchemy's pool while the connection is in use."""

    def __init__(self, pool: "Pool") -> None:
        self._prepared: set[str] = set()
        """The names of the statements that the session has prepared."""
        self._pool = pool
        self._raw: Any = None
        self._number = -1
        self._answer: asyncio.Future[None] | None = None
        self._sweeps_left = 0

    @property
    def is_open(self) -> bool:
        """Return whether it is open."""
        return self._raw is not None

    @property
    def is_lost(self) -> bool:
        """Return whether it has ended, after an error."""
        return self._raw is None or bool(self._raw.closed or self._raw.info.status != CONNECTION_OK)

    async def open(self, connect: partial[Any], seconds: float) -> None:
        """Open a session. Raise psycopg2's errors or TimeoutError."""
        async with asyncio.timeout(seconds):
            raw = await asyncio.to_thread(connect)  # psycopg2 looks the host's name up before it begins
            try:
                await self._poll(raw)
                refuse_other_strings(raw)
                cursor = raw.cursor()
                cursor.execute(TAKE_SETTINGS, {"session": raw.info.backend_pid})
                await self._poll(raw)
                self.has_settings = cursor.fetchone()[0]
                for kind in TYPES:
                    psycopg2.extensions.register_type(kind, raw)
            except BaseException:
                raw.close()
                raise
        self._prepared = set()
        self._raw, self._number = raw, raw.fileno()
        self._pool.loop.add_reader(self._number, self._readable)

    def execute(self, prefix: str, statement: Statement, values: Mapping[str, Any]) -> list[Row]:
        """Return the rows of a statement. Prepare it on first use, unless sessions are shared."""
        if self._pool.prepares:
            try:
                return self._execute_prepared(prefix + self._settings(), statement, values)
            except SHARED_SESSION:
                self._pool.prepares = False
                _log.info("the sessions of the database are not ours alone: a pooler; statements are sent whole")
        return self.send(prefix, statement, values)

    def send(self, prefix: str, statement: Statement, values: Mapping[str, Any], suffix: str = "") -> list[Row]:
        """Return the rows of a statement that is sent whole."""
        sql = prefix + self._settings() + statement.sql + suffix
        return self.run(sql, values, statement=statement)

    def run(
        self, sql: str, values: Mapping[str, Any] | None = None, *, statement: Statement | None = None
    ) -> list[Row]:
        """Return the rows of the last statement, which `statement` is. Raise psycopg2's errors."""
        spent, began = spending(), perf_counter()
        raw = self._raw
        try:
            cursor = raw.cursor()
            if statement and statement.times_as_text:
                psycopg2.extensions.register_type(TIME_AS_TEXT, cursor)
            cursor.execute(sql, values)
            self._sweeps_left = self._pool.sweeps + (round(statement.longer / SWEEP) if statement else 0)
            state = self._send() if len(cursor.query) > SENT_AT_ONCE else POLL_READ
            while state != POLL_OK:
                self._answer = self._pool.loop.create_future()
                wait(self._answer)
                state = raw.poll()
        except (asyncio.CancelledError, DatabaseTimeout):
            self.invalidate()
            raise
        except psycopg2.Error as error:
            if self.is_lost:
                raise ConnectionLost from error
            raise
        finally:
            self._answer = None
            spent.seconds += perf_counter() - began
            spent.statements += 1
        return cursor.fetchall() if cursor.description else []

    def invalidate(self) -> None:
        """End the session. The connection is reopened on its next use."""
        if self._raw is not None:
            self._pool.loop.remove_reader(self._number)
            self._raw.close()
            self._raw = None

    def sweep(self) -> None:
        """Give up an unanswered statement.

        It counts sweeps, so a standstill of this process is no time-out.
        """
        if self._answer is None:
            return
        self._sweeps_left -= 1
        if self._sweeps_left < 0 and not self._answer.done():
            self._answer.set_exception(DatabaseTimeout())

    close = invalidate
    """Close it for SQLAlchemy's pool."""

    def _settings(self) -> str:
        return "" if self.has_settings else EACH_TIME

    def _execute_prepared(self, prefix: str, statement: Statement, values: Mapping[str, Any]) -> list[Row]:
        prepare = "" if statement.name in self._prepared else statement.prepare
        try:
            rows = self.run(prefix + prepare + statement.execute, values, statement=statement)
        except psycopg2.errors.FeatureNotSupported:
            # A concurrent migration changed a column's type: prepared statements are invalid.
            prepare_again = f"DEALLOCATE {statement.name};\n{statement.prepare}"
            sql = prefix + prepare_again + statement.execute
            return self.run(sql, values, statement=statement)
        except SHARED_SESSION:
            raise
        except (psycopg2.IntegrityError, psycopg2.DataError):
            self._prepared.add(statement.name)  # it ran, and so was prepared
            raise
        except psycopg2.Error:
            self.invalidate()  # what is prepared there now is not known
            raise
        self._prepared.add(statement.name)
        return rows

    def _send(self) -> int:
        """Send what the socket did not accept at once. Return the state of `poll`."""
        loop = self._pool.loop
        while (state := self._raw.poll()) == POLL_WRITE:
            self._answer = loop.create_future()
            loop.add_writer(self._number, _settle, self._answer)
            try:
                wait(self._answer)
            finally:
                loop.remove_writer(self._number)
        return int(state)

    def _readable(self) -> None:
        """Handle a readable socket. If the connection is idle, the server has ended it."""
        if self._answer is not None:
            _settle(self._answer)
        elif self._is_ended():
            self.invalidate()

    def _is_ended(self) -> bool:
        """Return whether there is something to read: an answer may have been read meanwhile."""
        poll = select.poll()
        poll.register(self._number, select.POLLIN)
        return bool(poll.poll(0))

    async def _poll(self, raw: Any) -> None:
        """Finish an operation of psycopg2. The socket may change with the next address."""
        loop = self._pool.loop
        while (state := raw.poll()) != POLL_OK:
            number, ready = raw.fileno(), loop.create_future()
            add, remove = (
                (loop.add_writer, loop.remove_writer) if state == POLL_WRITE else (loop.add_reader, loop.remove_reader)
            )
            add(number, _settle, ready)
            try:
                await ready
            finally:
                remove(number)


class _Entries(AsyncAdaptedQueuePool):
    """SQLAlchemy's pool by the two methods that its subclasses implement.

    `connect` makes a proxy and a finalizer each time, 6 % of a get: decision 7 has the figures.
    """

    def take(self) -> ConnectionPoolEntry:
        """Return a free entry. Raise TimeoutError."""
        return self._do_get()

    def give_back(self, entry: ConnectionPoolEntry) -> None:
        """Return an entry, to the longest waiter."""
        self._do_return_conn(entry)


class Pool:
    """At most `size` connections of one event loop, opened on demand."""

    loop: asyncio.AbstractEventLoop

    def __init__(self, url: str, *, size: int, read_timeout: float) -> None:
        """Wait `read_timeout` seconds for an answer."""
        self.sweeps = round(read_timeout / SWEEP)
        """For how many sweeps an answer is waited."""
        self.prepares = True
        """Whether statements are prepared: until a session turns out not to be ours alone."""
        self._connections: list[Connection] = []
        self._hosts = each_host(url)
        self._options = options(url)
        self._seconds = float(parameters(url).get("connect_timeout", CONNECT_TIMEOUT))
        self._backoff = ConnectBackoff()
        self._sweeping: asyncio.TimerHandle | None = None
        self._entries = _Entries(
            self._new,  # type: ignore[arg-type]  # it asks for no more than `close`
            pool_size=size,
            max_overflow=0,
            timeout=POOL_TIMEOUT,
            use_lifo=True,  # what is prepared on few connections serves all
            reset_on_return=None,
        )

    def take(self) -> Connection:
        """Return a connection. Raise Unavailable if none is free in time or can be opened."""
        if self._sweeping is None:
            self.loop = asyncio.get_running_loop()
            self._sweep()
        try:
            entry = self._entries.take()
        except exc.TimeoutError as error:
            raise Unavailable(IN_USE) from error
        connection: Any = entry.dbapi_connection
        connection.entry = entry
        if not connection.is_open:
            try:
                with self._backoff.attempt():
                    wait(self._open(connection))
            except BaseException as error:
                self.give_back(connection)
                if isinstance(error, psycopg2.Error | TimeoutError):
                    raise Unavailable from error
                raise
        return connection  # type: ignore[no-any-return]  # what `_new` has made

    def give_back(self, connection: Connection) -> None:
        """Return a connection, to the longest waiter."""
        entry, connection.entry = connection.entry, None
        if entry is not None:
            self._entries.give_back(entry)

    def mark_unresponsive(self) -> None:
        """Close idle connections to an unresponsive database, and open none for a while."""
        self._backoff.failed()
        self._close_idle()

    def close(self) -> None:
        """Close idle connections and stop the sweep."""
        self._close_idle()
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None

    async def _open(self, connection: Connection) -> None:
        """Open at the first host that accepts a session.

        The next connection tries that host first.
        """
        refused: Exception | None = None
        for host in self._hosts:
            try:
                await connection.open(partial(psycopg2.connect, host, async_=True, **self._options), self._seconds)
            except (psycopg2.Error, TimeoutError) as error:
                refused = _with_address(error, host)
            else:
                self._hosts = [host, *(other for other in self._hosts if other is not host)]
                return
        raise refused or psycopg2.OperationalError("no host")

    def _new(self) -> Connection:
        connection = Connection(self)
        self._connections.append(connection)
        return connection

    def _close_idle(self) -> None:
        for connection in self._connections:
            if connection.entry is None:
                connection.invalidate()

    def _sweep(self) -> None:
        for connection in self._connections:
            connection.sweep()
        self._sweeping = self.loop.call_later(SWEEP, self._sweep)


def _with_address(error: Exception, host: str) -> Exception:
    """Return the error with the address, which libpq leaves out in asynchronous mode."""
    text = str(error).strip()
    if text.startswith(("connection to server", STRINGS_ADVICE)):
        return error
    given = parse_dsn(host)
    name, port = given.get("host") or given.get("hostaddr") or "localhost", given.get("port") or 5432
    return psycopg2.OperationalError(
        f'connection to server at "{name}", port {port} failed: {text or type(error).__name__}'
    )


def _settle(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)
