"""The worker process: uvicorn's, and how it takes connections, tells that it serves, and stops."""

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

from todo_api.server.protocol import Protocol

STOP_SECONDS = 8
"""From SIGTERM to the end: requests that run are finished meanwhile, and what is not answered then never is.

Longer than a request takes (five seconds of a statement, two of waiting for a connection), shorter than the ten that containers get.
"""

CUT = 1
"""Seconds before a stopping worker's time is over in which it ends in order: what is still not answered then has its connection cut."""

ACCEPTED = 100
"""Connections that are accepted in one turn of the event loop at most."""

_log = getLogger(__name__)


class WorkerServer(Server):
    """uvicorn's server on the listening sockets of gunicorn's master."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts the application, and takes connections once it has started."""
        await self.lifespan.startup()
        if self.lifespan.should_exit:
            sys.exit(STARTUP_FAILURE)
        self._loop = asyncio.get_running_loop()
        self._handing_over: set[asyncio.Task[None]] = set()
        self.servers = []
        for listener in sockets or ():
            listener.setblocking(False)
            self._listen(listener)
        Protocol.table.sweep(self._loop)
        self.started = True

    def _listen(self, listener: socket.socket) -> None:
        if not self.should_exit:
            self._loop.add_reader(listener.fileno(), self._accept, listener)

    def _accept(self, listener: socket.socket) -> None:
        """Accepts new connections: uvloop would take one a turn, and the busier the loop, the longer a turn.

        It takes as many as fit what it has, so that an idle worker leaves some to the others.
        """
        for _ in range(min(ACCEPTED, 1 + len(self.server_state.connections) // 4)):
            try:
                connection, _ = listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError:
                _log.exception("a connection cannot be accepted")  # as when there are no more files: not at once again
                self._loop.remove_reader(listener.fileno())
                self._loop.call_later(1, self._listen, listener)
                return
            connection.setblocking(False)
            task = self._loop.create_task(self._hand_over(connection))
            self._handing_over.add(task)
            task.add_done_callback(self._handing_over.discard)

    async def _hand_over(self, connection: socket.socket) -> None:
        make = partial(Protocol, self.config, self.server_state, self.lifespan.state, self._loop)
        with suppress(OSError):  # it may be gone already
            await self._loop.connect_accepted_socket(make, connection)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Takes no more connections, and finishes those there are.

        Each reply from now on ends its connection and says so; one on which no request comes is ended after a while.
        """
        for listener in sockets or ():
            self._loop.remove_reader(listener.fileno())
        Protocol.table.stopping_since = self._loop.time()
        self._loop.call_later(STOP_SECONDS - CUT, self.cut)
        await super().shutdown(sockets)

    def cut(self) -> None:
        """Ends all connections and requests."""
        for connection in Protocol.table:
            connection.drop()
        for task in self.server_state.tasks:
            task.cancel()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """SIGTERM finishes what runs; SIGINT and SIGQUIT do not. uvicorn would end by the signal, and not in order."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.stop)
        for number in (signal.SIGINT, signal.SIGQUIT):
            loop.add_signal_handler(number, self.stop, True)
        yield

    def stop(self, at_once: bool = False) -> None:
        """Begins to stop."""
        self.should_exit = True
        if at_once:
            self.cut()


class Worker(UvicornWorker):
    """One worker process. Made in the master, which keeps its own copy when the process begins."""

    CONFIG_KWARGS = {  # noqa: RUF012  # as uvicorn's worker has it
        "http": Protocol,
        "loop": "uvloop",
        "ws": "none",
        "lifespan": "on",  # so that a contract that does not fit its handlers fails at start
        "interface": "asgi3",
        "proxy_headers": False,  # the application looks at them itself, and knows whom to believe
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
        self.retires = False
        """For the master: whether it is to stop once its place is taken, and whether it was told."""
        self.told = False

    @property
    def serves(self) -> bool:
        """For the master: whether the worker takes connections, or did so before it stopped."""
        return self._serving[0] == 1

    def run(self) -> None:
        """Serves until told to stop."""
        with asyncio.Runner(loop_factory=self.config.get_loop_factory()) as runner:
            runner.run(self.serve())

    async def serve(self) -> None:
        """As uvicorn's worker, with a server of ours."""
        self.config.app = self.wsgi
        self._server = WorkerServer(self.config)
        await self._server.serve(sockets=self.sockets)
        if not self._server.started:
            sys.exit(Arbiter.WORKER_BOOT_ERROR)

    def notify(self) -> None:
        """Tells the master that all is well, once a second from the moment when connections are taken. Stops when it is gone."""
        self._serving[0] = 1
        super().notify()  # type: ignore[no-untyped-call]  # gunicorn's
        if self._server is not None and os.getppid() != self.ppid:
            self._server.should_exit = True
