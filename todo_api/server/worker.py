"""The worker process: uvicorn's, with its own accepting, notification and shutdown."""

import asyncio
import mmap
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from logging import WARNING, getLogger
from typing import Any

from gunicorn.arbiter import Arbiter
from uvicorn import Server
from uvicorn.config import STARTUP_FAILURE
from uvicorn_worker import UvicornWorker

from todo_api.server.protocol import HttpProtocol

STOP_SECONDS = 8
"""Seconds from SIGTERM to the end of the worker. It finishes running requests meanwhile.

Longer than a request takes (five seconds of a statement, two of waiting for a connection), and
shorter than the ten that containers get.
"""

ABORT_SECONDS = 1
"""Seconds before the end in which a stopping worker aborts the remaining connections."""

MAX_ACCEPTS = 100
"""Maximum number of connections accepted per turn of the event loop."""

_log = getLogger(__name__)


class WorkerServer(Server):
    """uvicorn's server on the listening sockets of gunicorn's master."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the application, then accept connections."""
        await self.lifespan.startup()
        if self.lifespan.should_exit:
            sys.exit(STARTUP_FAILURE)
        self._loop = asyncio.get_running_loop()
        self._handovers: set[asyncio.Task[None]] = set()
        self.servers = []
        for listener in sockets or ():
            listener.setblocking(False)
            self._listen(listener)
        HttpProtocol.table.sweep(self._loop)
        self.started = True

    def _listen(self, listener: socket.socket) -> None:
        if not self.should_exit:
            self._loop.add_reader(listener.fileno(), self._accept, listener)

    def _accept(self, listener: socket.socket) -> None:
        """Accept several connections per turn; uvloop accepts one, and turns get longer under load.

        The number grows with the connections it has, so an idle worker leaves some to the others.
        """
        for _ in range(min(MAX_ACCEPTS, 1 + len(self.server_state.connections) // 4)):
            try:
                connection, _ = listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError:
                _log.exception("a connection cannot be accepted")  # such as no free file: retry later
                self._loop.remove_reader(listener.fileno())
                self._loop.call_later(1, self._listen, listener)
                return
            connection.setblocking(False)
            task = self._loop.create_task(self._hand_over(connection))
            self._handovers.add(task)
            task.add_done_callback(self._handovers.discard)

    async def _hand_over(self, connection: socket.socket) -> None:
        make = partial(HttpProtocol, self.config, self.server_state, self.lifespan.state, self._loop)
        with suppress(OSError):  # the client may have disconnected
            await self._loop.connect_accepted_socket(make, connection)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting connections, and finish the open ones.

        Each reply from now on closes its connection and says so. An idle connection is closed after
        a while.
        """
        for listener in sockets or ():
            self._loop.remove_reader(listener.fileno())
        HttpProtocol.table.stopping_since = self._loop.time()
        HttpProtocol.gate.stop()
        self._loop.call_later(STOP_SECONDS - ABORT_SECONDS, self.abort)
        await super().shutdown(sockets)

    def abort(self) -> None:
        """Abort all connections and requests."""
        for connection in HttpProtocol.table:
            connection.drop()
        for task in self.server_state.tasks:
            task.cancel()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Finish requests on SIGTERM; abort them on SIGINT and SIGQUIT.

        Uvicorn would raise the signal.
        """
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.stop)
        for number in (signal.SIGINT, signal.SIGQUIT):
            loop.add_signal_handler(number, self.stop, True)
        yield

    def stop(self, immediately: bool = False) -> None:
        """Start to stop."""
        self.should_exit = True
        if immediately:
            self.abort()


class Worker(UvicornWorker):
    """A worker process. The master makes it and keeps its own copy after the fork."""

    CONFIG_KWARGS = {  # noqa: RUF012  # as uvicorn's worker has it
        "http": HttpProtocol,
        "loop": "uvloop",
        "ws": "none",
        "lifespan": "on",  # a failure of the application ends the start
        "interface": "asgi3",
        "proxy_headers": False,  # the application reads them, and knows the trusted proxies
        "server_header": False,
        "access_log": False,
        "timeout_notify": 1,
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        logger = getLogger("uvicorn.error")
        logger.handlers, logger.propagate = [], True
        logger.setLevel(max(WARNING, logger.level))
        self._serving = mmap.mmap(-1, 1)  # shared with the master
        self._server: Server | None = None
        self.retiring = False
        """For the master: whether the worker is being replaced, and whether it was told to stop."""
        self.notified = False

    @property
    def ready(self) -> bool:
        """Return whether the worker has accepted connections. For the master."""
        return self._serving[0] == 1

    def run(self) -> None:
        """Serve until stopped."""
        with asyncio.Runner(loop_factory=self.config.get_loop_factory()) as runner:
            runner.run(self.serve())

    async def serve(self) -> None:
        """Serve as uvicorn's worker does, with our server."""
        self.config.app = self.wsgi
        self._server = WorkerServer(self.config)
        await self._server.serve(sockets=self.sockets)
        if not self._server.started:
            sys.exit(Arbiter.WORKER_BOOT_ERROR)

    def notify(self) -> None:
        """Notify the master once a second while serving. Stop if the master has died."""
        self._serving[0] = 1
        super().notify()  # type: ignore[no-untyped-call]  # gunicorn's
        if self._server is not None and os.getppid() != self.ppid:
            self._server.should_exit = True
