"""How many connections a worker takes in one turn of its event loop: the busier it is, the longer a turn is."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import pairwise
from typing import Any

import uvicorn
import uvloop

from tests.support.live import SLACK
from todo_api.admission import AdmissionControl
from todo_api.http.cors import CorsFields
from todo_api.server.connections import Connections
from todo_api.server.gate import AdmissionGate
from todo_api.server.limits import ConnectionLimits
from todo_api.server.protocol import HttpProtocol
from todo_api.server.worker import MAX_ACCEPTS, WorkerServer

OPEN, NEW = 400, 300
TURNS = 10
"""Turns in which `NEW` are taken beside `OPEN`: `MAX_ACCEPTS` in each of them, and a few until the last is handed over."""

Serve = Callable[[socket.socket], AbstractAsyncContextManager[Callable[[], int]]]
"""Takes connections of a listener. What it gives says how many there are."""


async def application(scope: Any, receive: Any, send: Any) -> None:
    """No request comes."""


@asynccontextmanager
async def ours(listener: socket.socket) -> AsyncIterator[Callable[[], int]]:
    """The worker's own server."""
    config = uvicorn.Config(application, http=HttpProtocol, lifespan="off", ws="none", log_config=None)
    config.load()
    server = WorkerServer(config)
    server.lifespan = config.lifespan_class(config)
    HttpProtocol.gate = AdmissionGate(AdmissionControl(), {}.get, CorsFields(()))
    HttpProtocol.table = Connections(ConnectionLimits(60, 60, 60, connections=2 * (OPEN + NEW)))
    await server.startup([listener])
    yield lambda: len(server.server_state.connections)
    server.abort()
    await server.shutdown([listener])


@asynccontextmanager
async def plain(listener: socket.socket) -> AsyncIterator[Callable[[], int]]:
    """The server of uvloop itself."""
    made: list[asyncio.BaseTransport] = []

    class Counted(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            made.append(transport)

    server = await asyncio.get_running_loop().create_server(Counted, sock=listener, backlog=OPEN + NEW)
    yield lambda: len(made)
    server.close()
    for transport in made:
        transport.close()


def taken(serve: Serve) -> list[int]:
    """How many connections there are at each turn, from when `NEW` come at once to `OPEN`."""
    clients: list[socket.socket] = []

    def arrive(number: int) -> None:
        clients.extend(socket.create_connection(listener.getsockname()) for _ in range(number))  # the kernel takes them

    async def main() -> list[int]:
        turns: list[int] = []
        async with asyncio.timeout(SLACK), serve(listener) as count:
            for there, coming in ((0, OPEN), (OPEN, NEW)):
                arrive(coming)
                turns.clear()
                while count() < there + coming:
                    turns.append(count())
                    await asyncio.sleep(0)  # one turn
            turns.append(count())
        return turns

    with socket.create_server(("127.0.0.1", 0), backlog=OPEN + NEW) as listener:
        try:
            return uvloop.run(main())
        finally:
            for client in clients:
                client.close()


def test_any_connection_beside_four_hundred_is_taken_in_a_few_turns() -> None:
    turns = taken(ours)
    assert turns[-1] == OPEN + NEW
    assert len(turns) <= TURNS


def test_any_connection_that_is_open_has_its_turn_among_new_ones() -> None:
    turns = taken(ours)
    assert max(later - sooner for sooner, later in pairwise(turns)) <= MAX_ACCEPTS


def test_any_connection_taken_by_uvloop_itself_costs_a_turn() -> None:
    """If this fails, uvloop has changed, and the worker may leave accepting to it."""
    assert len(taken(plain)) > NEW
