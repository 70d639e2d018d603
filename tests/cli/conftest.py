"""A service, and agents that use it through the tools of `todo-api mcp`."""

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.agents import Agent, Open
from tests.support.client import event_loop
from tests.support.credentials import SECRET, token
from tests.support.live import SLACK, Live

if TYPE_CHECKING:  # two seconds to import, which the other processes of a run need not wait
    from fastmcp import FastMCP
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

        def make(server: "ClientTransport | FastMCP[Any]") -> Agent:
            client: Client[Any] = Client(server, timeout=SLACK)
            asyncio.run_coroutine_threadsafe(client.__aenter__(), loop).result(SLACK)
            opened.append(client)
            return Agent(client, loop)

        yield make
        for client in opened:
            asyncio.run_coroutine_threadsafe(client.close(), loop).result(SLACK)


@pytest.fixture(scope="module")
def agent(live: Live, open_agent: Open) -> Iterator[Agent]:
    """Ada's agent, of a server of tools in this process."""
    from todo_api import mcp  # noqa: PLC0415  # two seconds to import

    transport = mcp.RepliesForTools()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mcp, "RepliesForTools", lambda: transport)
        server = mcp.tool_server(live.origin, mcp.with_own_token(token("ada")))
    agent = open_agent(server)
    yield agent
    agent._wait(transport.aclose())
