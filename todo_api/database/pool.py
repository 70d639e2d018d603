"""The pool: SQLAlchemy's, with psycopg2's asynchronous connections, for functions that `greenlets.spawn` runs on one event loop.

While a statement runs, its function waits and the loop goes on. SQLAlchemy's pool says who gets a connection, and how long one is
waited for. What it shares out are connections that open when they are first used: one that cannot be opened goes back as it is, and
so wakes whoever waits for it.
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
from psycopg2.extensions import POLL_OK, POLL_READ, POLL_WRITE
from sqlalchemy import exc
from sqlalchemy.pool import AsyncAdaptedQueuePool, ConnectionPoolEntry

from todo_api.database.connection import (
    CONNECT_TIMEOUT,
    EACH_TIME,
    IN_USE,
    POOL_TIMEOUT,
    TAKE_SETTINGS,
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
"""Seconds between two looks for statements that have no answer."""

CONNECTION_OK = 0
"""What libpq says of a connection that is one."""

SENT_AT_ONCE = 16 * 1024
"""Bytes that a socket with nothing to send takes at once, whatever its kind."""

_log = logging.getLogger(__name__)


class Connection:
    """One connection, in autocommit. For one function at a time."""

    has_settings = False
    """Whether its session has SETTINGS, for as long as it lasts. Else they must come with each statement."""
    entry: ConnectionPoolEntry | None = None
    """What SQLAlchemy's pool holds of it, while it is in use."""

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
        """Whether it was opened, and not given up since."""
        return self._raw is not None

    @property
    def is_lost(self) -> bool:
        """Whether it has ended, as is known after an error."""
        return self._raw is None or bool(self._raw.closed or self._raw.info.status != CONNECTION_OK)

    async def open(self, connect: partial[Any], seconds: float) -> None:
        """Begin a session. Raise psycopg2's errors, and TimeoutError."""
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
        """Return the rows of one statement. Prepare it the first time, in the same round trip, unless sessions are shared."""
        if self._pool.prepares:
            try:
                return self._execute_prepared(prefix + self._settings(), statement, values)
            except SHARED_SESSION:
                self._pool.prepares = False
                _log.info("the sessions of the database are not ours alone: a pooler; statements are sent whole")
        return self.send(prefix, statement, values)

    def send(self, prefix: str, statement: Statement, values: Mapping[str, Any], suffix: str = "") -> list[Row]:
        """Return the rows of one statement, sent whole."""
        return self.run(prefix + self._settings() + statement.sql + suffix, values)

    def run(self, sql: str, values: Mapping[str, Any] | None = None) -> list[Row]:
        """Return the rows of the last of the statements. Raise psycopg2's errors, ConnectionLost and DatabaseTimeout among them."""
        spent, began = spending(), perf_counter()
        raw = self._raw
        try:
            cursor = raw.cursor()
            cursor.execute(sql, values)
            self._sweeps_left = self._pool.sweeps
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
        """End the session. The next one to get the connection opens it anew."""
        if self._raw is not None:
            self._pool.loop.remove_reader(self._number)
            self._raw.close()
            self._raw = None

    def sweep(self) -> None:
        """Give up a statement that has no answer. Sweeps are counted, so that a standstill of this process is not taken for one."""
        if self._answer is None:
            return
        self._sweeps_left -= 1
        if self._sweeps_left < 0 and not self._answer.done():
            self._answer.set_exception(DatabaseTimeout())

    close = invalidate
    """For SQLAlchemy's pool."""

    def _settings(self) -> str:
        return "" if self.has_settings else EACH_TIME

    def _execute_prepared(self, prefix: str, statement: Statement, values: Mapping[str, Any]) -> list[Row]:
        prepare = "" if statement.name in self._prepared else statement.prepare
        try:
            rows = self.run(prefix + prepare + statement.execute, values)
        except psycopg2.errors.FeatureNotSupported:
            # A migration changed the type of a column beside us: what was prepared before it is of no more use.
            anew = f"DEALLOCATE {statement.name};\n{statement.prepare}"
            return self.run(prefix + anew + statement.execute, values)
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
        """Send what the socket did not take at once. Return what `poll` says then: it may have read the answer already."""
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
        """An idle connection has nothing to read, unless the server says goodbye."""
        if self._answer is not None:
            _settle(self._answer)
        elif self._is_ended():
            self.invalidate()

    def _is_ended(self) -> bool:
        """Whether there is something to read, for this may have been called for an answer that has been read meanwhile."""
        poll = select.poll()
        poll.register(self._number, select.POLLIN)
        return bool(poll.poll(0))

    async def _poll(self, raw: Any) -> None:
        """Go on with what psycopg2 has begun, to its end. Another socket may be the one to look at when the next address is tried."""
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
    """SQLAlchemy's pool by the two methods that its kinds of pool differ in.

    `connect` makes a proxy and a finalizer around them each time, which cost 6 % of a get: decision 7 has the figures.
    """

    def take(self) -> ConnectionPoolEntry:
        """Return one that is free. Raise TimeoutError where none is in time."""
        return self._do_get()

    def give_back(self, entry: ConnectionPoolEntry) -> None:
        """Make one free, for whoever has waited longest."""
        self._do_return_conn(entry)


class Pool:
    """At most `size` connections of one event loop, opened when they are needed."""

    loop: asyncio.AbstractEventLoop

    def __init__(self, url: str, *, size: int, read_timeout: float) -> None:
        """A statement gets so many seconds for its answer."""
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
        """Return a connection that nobody else has. Raise Unavailable where none is free in time, or none can be opened."""
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
        """Make a connection free, for whoever has waited longest."""
        entry, connection.entry = connection.entry, None
        if entry is not None:
            self._entries.give_back(entry)

    def mark_unresponsive(self) -> None:
        """Close idle connections to a database that does not answer, and open none for a while."""
        self._backoff.failed()
        self._close_idle()

    def close(self) -> None:
        """Close the connections that are not in use, and end the sweep."""
        self._close_idle()
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None

    async def _open(self, connection: Connection) -> None:
        """Open at the first host that gives a session. The next connection asks that host first."""
        refused: Exception | None = None
        for host in self._hosts:
            try:
                await connection.open(partial(psycopg2.connect, host, async_=True, **self._options), self._seconds)
            except (psycopg2.Error, TimeoutError) as error:
                refused = error
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


def _settle(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)
