"""`todo-api mcp` with an `MCP_URL` that has a path: the service behind a proxy that serves it there."""

import asyncio
from pathlib import Path
from typing import Any

from tests.support.agents import Agent
from tests.support.client import event_loop
from tests.support.credentials import SECRET, token
from tests.support.live import COMMAND, SLACK, Live, environment, free_port
from tests.support.path_proxy import PATH, under_a_path


def test_agent_uses_a_service_that_is_served_under_a_path(url: str, tmp_path: Path) -> None:
    from fastmcp import Client  # noqa: PLC0415  # two seconds to import
    from fastmcp.client.transports import StdioTransport  # noqa: PLC0415  # as above

    port = free_port()
    public = f"http://127.0.0.1:{port}{PATH}"
    with (
        Live(tmp_path, DATABASE_URL=url, JWT_SECRET=SECRET, PUBLIC_URL=public) as live,
        under_a_path(port, live.port) as origin,
        event_loop() as loop,
    ):
        live.ready()
        settings = environment(tmp_path, MCP_URL=f"{origin}/", MCP_TOKEN=token("ada"))
        command = StdioTransport(
            str(COMMAND), ["mcp"], env=settings, cwd=str(tmp_path), log_file=tmp_path / "log", keep_alive=False
        )
        client: Client[Any] = Client(command, timeout=SLACK)
        asyncio.run_coroutine_threadsafe(client.__aenter__(), loop).result(SLACK)
        agent = Agent(client, loop)
        made = agent.add(title="Under a path")
        assert agent.call("get_task", task_id=made["id"])["title"] == "Under a path"
        refused = agent.refusal("get_task", task_id="01932c07-9f7a-7c1d-b6a1-5a2f0f5d1c3e")
        assert refused["type"] == f"{PATH}/problems/not_found"
        asyncio.run_coroutine_threadsafe(client.close(), loop).result(SLACK)
