"""Connections to PostgreSQL on an event loop: psycopg2's asynchronous ones, for functions that `greenlets.spawn` runs.

While a statement runs, its function waits and the loop goes on. An idle connection is watched as well: all that a server says
to it unasked is goodbye. Every wait has a deadline of our own, since none of libpq's holds for a server that is there and does not answer.
"""

import asyncio
import select
from collections import deque
from collections.abc import Mapping
from functools import partial
from time import monotonic
from typing import Any

import psycopg2
import psycopg2.extensions
from psycopg2.extensions import POLL_OK, POLL_READ, POLL_WRITE

from todo_api.database.connection import (
    CONNECT_TIMEOUT,
    IN_USE,
    POOL_TIMEOUT,
    TAKE_SETTINGS,
    UUID_TEXT,
    Attempts,
    SilentError,
    options,
    refuse_other_strings,
)
from todo_api.database.greenlets import wait
from todo_api.database.statement import Row
from todo_api.database.url import each_host, parameters
from todo_api.database.watchdog import WATCHDOG
from todo_api.errors import Unavailable

SWEEP = 0.25
"""Seconds between two looks for who has waited too long."""

CONNECTION_OK = 0
"""What libpq says of a connection that is one."""

SENT_AT_ONCE = 16 * 1024
"""Bytes that a socket with nothing to send takes at once, whatever its kind."""


class LoopConnection:
    """One connection, in autocommit. For one function at a time."""

    def __init__(self, pool: "LoopConnections", raw: Any, *, has_settings: bool) -> None:
        self.info: dict[str, Any] = {}
        """What is known of the session, for as long as it lasts."""
        self.is_valid = True
        """Whether it was not given up."""
        self.has_settings = has_settings
        """Whether its session has SETTINGS, for as long as it lasts."""
        self._pool = pool
        self._raw = raw
        self._number: int = raw.fileno()
        self._answer: asyncio.Future[None] | None = None
        psycopg2.extensions.register_type(UUID_TEXT, raw)
        pool.loop.add_reader(self._number, self._readable)

    @property
    def is_lost(self) -> bool:
        """Whether it has ended, as is known after an error."""
        return bool(self._raw.closed or self._raw.info.status != CONNECTION_OK)

    def run(self, sql: str, values: Mapping[str, Any] | None = None) -> list[Row]:
        """The rows of the last of the statements. Raises psycopg2's errors, SilentError among them."""
        raw = self._raw
        cursor = raw.cursor()
        cursor.execute(sql, values)
        watch = WATCHDOG.begin(raw, self._pool.silence)
        try:
            state = self._sent() if len(cursor.query) > SENT_AT_ONCE else POLL_READ
            while state != POLL_OK:
                self._answer = self._pool.loop.create_future()
                wait(self._answer)
                state = raw.poll()
        except asyncio.CancelledError:
            self.invalidate()
            raise
        except psycopg2.Error as error:
            if not WATCHDOG.end(watch):
                raise SilentError from error
            raise
        finally:
            self._answer = None
            WATCHDOG.end(watch)
        return cursor.fetchall() if cursor.description else []

    def invalidate(self, error: BaseException | None = None) -> None:
        """Gives it up: nobody gets it again."""
        if not self.is_valid:
            return
        self.is_valid = False
        self._pool.loop.remove_reader(self._number)
        self._raw.close()

    def close(self) -> None:
        """Gives it back."""
        self._pool.take_back(self)

    def _sent(self) -> int:
        """Sends what the socket did not take at once. Gives what `poll` says then: it may have read the answer already."""
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
        if self._answer is not None:
            _settle(self._answer)
        elif self._is_ended():
            self._pool.forget_idle()

    def _is_ended(self) -> bool:
        """Whether there is something to read, for this may have been called for an answer that has been read meanwhile."""
        poll = select.poll()
        poll.register(self._number, select.POLLIN)
        return bool(poll.poll(0))


class LoopConnections:
    """At most `size` connections of one event loop, opened when they are needed."""

    loop: asyncio.AbstractEventLoop

    def __init__(self, url: str, *, size: int, silence: float) -> None:
        """An answer is waited for `silence` seconds."""
        self.silence = silence
        self._hosts = each_host(url)
        self._options = options(url)
        self._patience = float(parameters(url).get("connect_timeout", CONNECT_TIMEOUT))
        self._size = size
        self._open: set[LoopConnection] = set()
        self._opening = 0
        self._idle: list[LoopConnection] = []
        self._waiting: deque[tuple[float, asyncio.Future[LoopConnection | None]]] = deque()
        self._attempts = Attempts()
        self._sweeping: asyncio.TimerHandle | None = None

    def take(self) -> LoopConnection:
        """A connection that nobody else has. Raises Unavailable where none is free in time, or none can be made."""
        if self._sweeping is None:
            self.loop = asyncio.get_running_loop()
            self._sweep()
        while True:
            if self._idle:
                return self._idle.pop()
            if len(self._open) + self._opening < self._size:
                return self._new()
            given = self._next_free()
            if given is not None:
                return given

    def take_back(self, connection: LoopConnection) -> None:
        """Makes a connection free, for whoever has waited longest."""
        if connection.is_valid:
            self._hand_on(connection)
        else:
            self._open.discard(connection)
            self._hand_on(None)

    def forget_idle(self) -> None:
        """Closes the connections that are not in use: the server has ended one of them, and so the others too."""
        idle, self._idle = self._idle, []
        for connection in idle:
            connection.invalidate()
            self._open.discard(connection)

    def silent(self) -> None:
        """The database does not answer: what is idle is given up as well, and nothing new tried for a while."""
        self.forget_idle()
        self._attempts.failed()
        self._refuse(len(self._waiting), None)

    def close(self) -> None:
        """Closes the connections that are not in use, and ends the watch over the others."""
        self.forget_idle()
        if self._sweeping is not None:
            self._sweeping.cancel()

    def _hand_on(self, connection: LoopConnection | None) -> None:
        """Gives the connection, or with None the place of one, to whoever has waited longest."""
        while self._waiting:
            _, free = self._waiting.popleft()
            if not free.done():
                free.set_result(connection)
                return
        if connection is not None:
            self._idle.append(connection)

    def _next_free(self) -> LoopConnection | None:
        free: asyncio.Future[LoopConnection | None] = self.loop.create_future()
        self._waiting.append((monotonic() + POOL_TIMEOUT, free))
        try:
            return wait(free)
        except asyncio.CancelledError:
            if free.done() and not free.cancelled() and free.exception() is None:
                self._hand_on(free.result())
            raise

    def _new(self) -> LoopConnection:
        self._opening += 1
        try:
            with self._attempts.one():
                raw, has_settings = wait(self._opened())
        except (psycopg2.Error, TimeoutError) as error:
            self._refuse(len(self._waiting), None)  # there is none to be had now
            raise Unavailable from error
        except BaseException:
            self._hand_on(None)
            raise
        finally:
            self._opening -= 1
        connection = LoopConnection(self, raw, has_settings=has_settings)
        self._open.add(connection)
        return connection

    async def _opened(self) -> tuple[Any, bool]:
        """What the first host gives that gives a connection. The next one is asked of that host first."""
        refused: Exception | None = None
        for host in self._hosts:
            try:
                opened = await asyncio.wait_for(self._opened_at(host), self._patience)
            except (psycopg2.Error, TimeoutError) as error:
                refused = error
            else:
                self._hosts = [host, *(other for other in self._hosts if other is not host)]
                return opened
        raise refused or psycopg2.OperationalError("no host")

    async def _opened_at(self, host: str) -> tuple[Any, bool]:
        """psycopg2's connection, and whether its session has SETTINGS."""
        # psycopg2 looks the host's name up before it begins.
        raw: Any = await asyncio.to_thread(partial(psycopg2.connect, host, async_=True, **self._options))
        try:
            await self._poll(raw)
            refuse_other_strings(raw)
            cursor = raw.cursor()
            cursor.execute(TAKE_SETTINGS, {"session": raw.info.backend_pid})
            await self._poll(raw)
        except BaseException:
            raw.close()
            raise
        return raw, cursor.fetchone()[0]

    async def _poll(self, raw: Any) -> None:
        """Goes on with what psycopg2 has begun, to its end. Another socket may be the one to look at when the next address is tried."""
        while (state := raw.poll()) != POLL_OK:
            await self._ready(raw.fileno(), writes=state == POLL_WRITE)

    async def _ready(self, number: int, *, writes: bool) -> None:
        ready = self.loop.create_future()
        if writes:
            self.loop.add_writer(number, _settle, ready)
        else:
            self.loop.add_reader(number, _settle, ready)
        try:
            await ready
        finally:
            (self.loop.remove_writer if writes else self.loop.remove_reader)(number)

    def _refuse(self, count: int, detail: str | None) -> None:
        for _ in range(count):
            _, free = self._waiting.popleft()
            if not free.done():
                free.set_exception(Unavailable(detail))

    def _sweep(self) -> None:
        """Sends away who has waited for a connection for too long."""
        now = monotonic()
        late = sum(deadline < now for deadline, _ in self._waiting)
        self._refuse(late, IN_USE)
        self._sweeping = self.loop.call_later(SWEEP, self._sweep)


def _settle(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)
