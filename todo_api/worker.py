"""The worker process: gunicorn's ASGI worker, and how it begins, tells that it serves, and stops.

gunicorn has no settings for these, so its class is derived from, private methods included; each is tested over a socket.
"""
# gunicorn's methods have no annotations, and what its constructors set to None is never None here:
# mypy: disable-error-code="no-untyped-call, union-attr"

import asyncio
import mmap
from collections.abc import Callable
from functools import partial
from typing import Any

from gunicorn.workers import gasgi

from todo_api.protocol import Protocol, take_c_parser

QUIET = 1.5
"""Seconds that a stopping worker waits for one more request on a connection that is kept open.

Only a reply can tell the client to send no more on it (RFC 9112, section 9.6). On a connection in use, one is due within that time.
"""

CUT = 1
"""Seconds before a stopping worker's time is over in which it ends in order: what is still not answered then has its connection cut."""


class Worker(gasgi.ASGIWorker):
    """One worker process. Made in the master, which keeps its own copy when the process begins."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._serving = mmap.mmap(-1, 1)  # shared with the master
        self.retires = False
        """For the master: whether it is to stop once its place is taken, and whether it was told."""
        self.told = False
        self._main: asyncio.Task[None] | None = None
        self.stopping = False
        """Whether it finishes what runs. gunicorn's `alive` ends connections whose last reply did not say so."""

    @property
    def serves(self) -> bool:
        """For the master: whether the worker takes connections, or did so before it stopped."""
        return self._serving[0] == 1

    def init_process(self) -> None:
        """Serves until told to stop."""
        take_c_parser()
        gasgi.ASGIProtocol = Protocol  # type: ignore[misc]  # gunicorn's worker has no setting for it
        super().init_process()

    def notify(self) -> None:
        """Tells the master that all is well, once a second from the moment when connections are taken."""
        self._serving[0] = 1
        super().notify()

    def _setup_event_loop(self) -> None:
        """As gunicorn's, which leaves the queue of new connections at the 100 of the event loop: the next would wait a second and more."""
        super()._setup_event_loop()
        self.loop.create_server = partial(self.loop.create_server, backlog=self.cfg.backlog)

    def handle_exit_signal(self) -> None:
        """SIGTERM: takes no more connections, and finishes those there are.

        Each reply from now on ends its connection and says so; one on which no request comes is ended after `QUIET` seconds.
        """
        if self.stopping:
            return
        self.stopping = True
        for server in self.servers:
            server.close()
        self.loop.call_later(QUIET, self._end, Protocol.end_if_idle)
        self.loop.call_later(self.cfg.graceful_timeout - CUT, self._end, Protocol.cut)
        self._leave_when_done()

    async def _serve(self) -> None:
        self._main = asyncio.current_task()
        await super()._serve()

    def _leave_when_done(self) -> None:
        if self.nr_conns:
            self.loop.call_later(0.1, self._leave_when_done)
            return
        self.alive = False
        if self.serves and self._main:
            self._main.cancel()  # gunicorn's loop, which sleeps for a second, ends by it and shuts down in order

    def _end(self, end: Callable[[Protocol], None]) -> None:
        for protocol in list(Protocol.open):
            end(protocol)
