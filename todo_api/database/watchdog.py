"""Ends connections on which the database does not answer at all.

`statement_timeout` is the server's to keep, and libpq waits for an answer without limit: a server that is frozen, or whose machine is,
would hold every thread for as long as that lasts. A thread looks at what is under way, a few times a second, and shuts the
socket of what is overdue, which ends libpq's wait. A statement pays for it with two operations on a dictionary.
"""

import os
import socket
import threading
from contextlib import suppress
from time import monotonic
from typing import Any

import psycopg2

TICK = 0.25
"""Seconds between two looks."""


class Watch:
    """One wait for the database on a connection of psycopg2's: `deadline` is in the seconds of `time.monotonic`."""

    __slots__ = ("connection", "deadline")

    def __init__(self, connection: Any, seconds: float) -> None:
        self.connection = connection
        self.deadline = monotonic() + seconds


class Watchdog:
    """Watches the connections of one process. Its thread starts with the first, and sleeps while there is none."""

    def __init__(self) -> None:
        self._begin()
        os.register_at_fork(after_in_child=self._begin)

    def _begin(self) -> None:
        """Anew in each process: a thread does not come along through a fork."""
        self._watches: dict[Watch, None] = {}
        self._wake = threading.Event()
        self._ending = threading.Lock()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def begin(self, connection: Any, seconds: float) -> Watch:
        """Begins to watch. Whoever begins must `end`, before the connection is closed."""
        watch = Watch(connection, seconds)
        self._watches[watch] = None
        if not self._wake.is_set():
            self._wake.set()
            if self._thread is None:
                self._start()
        return watch

    def end(self, watch: Watch) -> bool:
        """Ends watching. False where the deadline came first: the connection is of no more use."""
        if self._watches.pop(watch, self) is None:
            return True
        with self._ending:  # the socket's number may serve another connection once this one is closed
            return False

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="watchdog", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        tick = threading.Event()
        while True:
            self._wake.clear()
            if not self._watches:
                self._wake.wait()
            self._wake.set()  # who begins from here on need not wake this thread
            tick.wait(TICK)
            now = monotonic()
            for watch in list(self._watches):
                if watch.deadline < now:
                    self._shut(watch)

    def _shut(self, watch: Watch) -> None:
        with self._ending:
            if self._watches.pop(watch, self) is None:
                with suppress(OSError, psycopg2.InterfaceError), _socket(watch.connection) as end:
                    end.shutdown(socket.SHUT_RDWR)  # else the server has ended it by itself


WATCHDOG = Watchdog()
"""That of this process."""


def _socket(connection: Any) -> socket.socket:
    return socket.socket(fileno=os.dup(connection.fileno()))
