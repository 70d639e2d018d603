"""Agents: clients of the Model Context Protocol, and `todo-api mcp --http` for them."""

import asyncio
import json
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2

from tests.support.live import COMMAND, SLACK, environment, free_port, interruptible

if TYPE_CHECKING:  # two seconds to import, which the other processes of a run need not wait
    from fastmcp import Client, FastMCP
    from fastmcp.client.transports import ClientTransport

Open = Callable[["ClientTransport | FastMCP[Any]"], "Agent"]


class Agent:
    """A client of one MCP server."""

    def __init__(self, client: "Client[Any]", loop: asyncio.AbstractEventLoop) -> None:
        self._client = client
        self._loop = loop

    def tools(self) -> list[Any]:
        return list(self._wait(self._client.list_tools()))

    def instructions(self) -> str:
        """Return the instructions that the server gives an agent at the beginning."""
        return str(self._client.instructions)

    def call(self, tool: str, **arguments: Any) -> Any:
        """Return the result of a tool. The client validates it by the tool's output schema."""
        result = self._wait(self._client.call_tool(tool, arguments))
        assert not result.is_error
        return result.structured_content

    def add(self, **members: Any) -> Any:
        """Add a task, and return the whole of it."""
        (brief,) = self.call("add_tasks", tasks=[members])["tasks"]
        return self.call("get_task", task_id=brief["id"])

    def change(self, task_id: str, **members: Any) -> Any:
        """Change a task, and return the whole of it."""
        (brief,) = self.call("update_tasks", tasks=[{"id": task_id, "change": members}])["tasks"]
        return self.call("get_task", task_id=brief["id"])

    def refusal(self, tool: str, **arguments: Any) -> Any:
        """The problem document with which the tool refuses."""
        result = self._wait(self._client.call_tool(tool, arguments, raise_on_error=False))
        assert result.is_error, result
        (content,) = result.content
        return json.loads(content.text)

    def _wait(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(SLACK)


def named_tools(document: Any) -> Iterator[tuple[dict[str, str], str, dict[str, Any]]]:
    """Yield the words of each tool that a contract names, with the method and the operation of it."""
    for item in document["paths"].values():
        for method, operation in item.items():
            if method != "parameters" and "x-mcp" in operation:
                words = operation["x-mcp"]
                for each in words if isinstance(words, list) else [words]:
                    yield each, method, operation


def told(problem: Any) -> tuple[int, str]:
    """Return the status and the code of a problem document."""
    return problem["status"], problem["code"]


def violations(problem: Any) -> list[tuple[str, str]]:
    """Return where a problem document of invalid arguments found which violation."""
    assert told(problem) == (400, "validation_failed")
    return [(violation["pointer"], violation["code"]) for violation in problem["errors"]]


@contextmanager
def over_http(folder: Path, service: str, **settings: str) -> Iterator[str]:
    """The address of `todo-api mcp --http`, in front of the service at that origin. It ends quietly, without a trace."""
    port = free_port()
    with (folder / "log").open("w+b") as log:
        process = subprocess.Popen(
            [COMMAND, "mcp", "--url", service, "--http", str(port)],
            cwd=folder,
            env=environment(folder, **settings),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            preexec_fn=interruptible,  # noqa: PLW1509  # it takes no lock
        )
        try:
            deadline = time.monotonic() + SLACK
            while process.poll() is None and time.monotonic() < deadline:
                try:
                    httpx2.get(f"http://127.0.0.1:{port}/mcp", timeout=SLACK)
                    break
                except httpx2.ConnectError:
                    time.sleep(0.05)
            yield f"http://127.0.0.1:{port}/mcp"
        finally:
            process.send_signal(signal.SIGINT)
            status = process.wait(SLACK)
            log.seek(0)
            said = log.read().decode()
    assert "Traceback" not in said, said
    assert not re.search("[\u2500-\u257f]|\x1b", said), said  # neither boxes nor colours
    assert status == 128 + signal.SIGINT
