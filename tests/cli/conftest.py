"""A service, and agents that use it through `todo-api mcp`."""

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.agents import Agent, Open
from tests.support.client import event_loop
from tests.support.credentials import SECRET, token
from tests.support.live import COMMAND, SLACK, Live, environment

if TYPE_CHECKING:  # two seconds to import, which the other processes of a run need not wait
    from fastmcp.client.transports import ClientTransport


@pytest.fixture(scope="module")
def live(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with Live(tmp_path_factory.mktemp("live"), DATABASE_URL=url, JWT_SECRET=SECRET) as service:
        yield service.ready()


@pytest.fixture(scope="module")
def open_agent() -> Iterator[Open]:
    """Opens a client, which is closed with the module."""
    from fastmcp import Client  # noqa: PLC0415  # two seconds to import

    opened: list[Client[Any]] = []
    with event_loop() as loop:

        def make(transport: "ClientTransport") -> Agent:
            client: Client[Any] = Client(transport, timeout=SLACK)
            asyncio.run_coroutine_threadsafe(client.__aenter__(), loop).result(SLACK)
            opened.append(client)
            return Agent(client, loop)

        yield make
        for client in opened:
            asyncio.run_coroutine_threadsafe(client.close(), loop).result(SLACK)


@pytest.fixture(scope="module")
def agent(live: Live, open_agent: Open, tmp_path_factory: pytest.TempPathFactory) -> Agent:
    """An agent that starts the command itself, with Ada's token in its environment."""
    from fastmcp.client.transports import StdioTransport  # noqa: PLC0415  # two seconds to import

    folder = tmp_path_factory.mktemp("stdio")
    settings = environment(folder, MCP_URL=live.origin, MCP_TOKEN=token("ada"))
    return open_agent(
        StdioTransport(str(COMMAND), ["mcp"], env=settings, cwd=str(folder), log_file=folder / "log", keep_alive=False)
    )
