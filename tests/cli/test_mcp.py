"""`todo-api mcp`: the task operations as tools, used by a real client of the Model Context Protocol."""

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.agents import Agent, Open, named_tools, over_http, told, violations
from tests.support.credentials import token
from tests.support.live import COMMAND, SLACK, Live, environment, free_port, refusal
from todo_api import contract

MISSING = "01932c07-9f7a-7c1d-b6a1-5a2f0f5d1c3e"


@pytest.fixture(scope="module")
def agent(live: Live, open_agent: Open, tmp_path_factory: pytest.TempPathFactory) -> Agent:
    """An agent that starts the command itself, with Ada's token in its environment."""
    from fastmcp.client.transports import StdioTransport  # noqa: PLC0415  # two seconds to import

    folder = tmp_path_factory.mktemp("stdio")
    settings = environment(folder, MCP_URL=live.origin, MCP_TOKEN=token("ada"))
    return open_agent(
        StdioTransport(str(COMMAND), ["mcp"], env=settings, cwd=str(folder), log_file=folder / "log", keep_alive=False)
    )


@pytest.fixture(scope="module")
def address(live: Live, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An MCP server over HTTP that has no token of its own."""
    with over_http(tmp_path_factory.mktemp("http"), live.origin) as served:
        yield served


@pytest.fixture(scope="module")
def caller(address: str, open_agent: Open) -> Callable[[str | None], Agent]:
    """Opens an agent that sends this bearer token with every request, or none."""
    from fastmcp.client.transports import StreamableHttpTransport  # noqa: PLC0415  # two seconds to import

    agents: dict[str | None, Agent] = {}

    def make(bearer: str | None) -> Agent:
        if bearer not in agents:
            headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
            agents[bearer] = open_agent(StreamableHttpTransport(address, headers=headers))
        return agents[bearer]

    return make


def documented() -> dict[str, str]:
    """The tools that the contract names, with the methods of their operations."""
    return {words["name"]: method for words, method, _ in named_tools(contract.load(contract.TASK_API))}


def test_tools_are_those_that_the_contract_names(agent: Agent) -> None:
    assert sorted(tool.name for tool in agent.tools()) == sorted(documented())
    assert len(documented()) == 15


def test_tools_and_instructions_are_short_and_speak_of_no_http(agent: Agent) -> None:
    tools = json.dumps([tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in agent.tools()])
    instructions = agent.instructions()
    assert len(tools) + len(instructions) <= 32_000
    assert len(instructions.splitlines()) <= 10
    assert not re.search(r"\b(HTTP|GET|POST|PATCH|ETag|header|status code|repeated|4\d\d)\b", instructions + tools)
    assert re.findall(r'"description": "(?:[^"\\]|\\.)*[^.]"', tools) == [], "a description that breaks off"
    assert {*re.findall(r"\b[a-z]+_(?:task|project|label)s?\b", instructions)} <= {*documented()}
    members = ("due", "start", "startable", "position", "project", "label", "priority", "parent_id")
    assert [word for word in members if word not in instructions] == []
    assert instructions == contract.load(contract.TASK_API)["info"]["x-mcp"]["instructions"]


def test_argument_whose_form_is_not_free_says_an_example(agent: Agent) -> None:
    """The patterns are left out."""
    formed = {"date", "time", "time_zone", "due_from", "due_to", "updated_since", "color"}
    found: dict[str, list[str]] = {name: [] for name in formed}

    def look(schema: Any) -> None:
        for name, member in schema.get("properties", {}).items():
            if name in formed:
                found[name].append(member["description"])
            look(member)
            look(member.get("items", {}))

    for tool in agent.tools():
        look(tool.input_schema)
    assert all(found.values())
    assert [words for said in found.values() for words in said if "such as" not in words] == []


def test_tools_leave_out_patterns_examples_and_the_user(agent: Agent) -> None:
    schemas = json.dumps([[tool.input_schema, tool.output_schema] for tool in agent.tools()])
    assert not [word for word in ('"pattern"', '"example"', '"examples"', "user_id") if word in schemas]


def test_tools_hint_what_their_methods_may_do(agent: Agent) -> None:
    hints = {
        "get": (True, False, True),
        "post": (False, False, False),
        "put": (False, True, True),
        "patch": (False, True, False),
        "delete": (False, True, True),
    }
    found = {
        tool.name: (
            tool.annotations.read_only_hint,
            tool.annotations.destructive_hint,
            tool.annotations.idempotent_hint,
        )
        for tool in agent.tools()
    }
    assert found == {name: hints[method] for name, method in documented().items()} | {
        "update_tasks": (False, True, False)
    }


def test_argument_of_a_list_says_what_it_chooses(agent: Agent) -> None:
    (find,) = (tool for tool in agent.tools() if tool.name == "find_tasks")
    said = [argument["description"] for argument in find.input_schema["properties"].values()]
    assert len({*said}) == len(said), "an argument is described by a schema that it shares"


def test_tools_ask_for_no_user_and_no_copies(agent: Agent) -> None:
    asked = {name for tool in agent.tools() for name in tool.input_schema["properties"]}
    assert "task_id" in asked
    assert not asked & {"user_id", "If-None-Match"}
    assert all(tool.input_schema["additionalProperties"] is False for tool in agent.tools())


def test_tools_say_that_members_may_be_null(agent: Agent) -> None:
    outputs = {tool.name: tool.output_schema for tool in agent.tools()}
    assert outputs["get_task"]["properties"]["completed_at"]["type"] == ["string", "null"]
    assert outputs["find_tasks"]["properties"]["next_cursor"]["type"] == ["string", "null"]


def test_tools_walk_a_task_through_its_life(agent: Agent) -> None:
    created = agent.add(title="Buy milk", description="Two litres")
    task = {"task_id": created["id"]}
    assert (created["status"], created["completed_at"]) == ("pending", None)
    page = agent.call("find_tasks", q="milk", status=["pending", "in_progress"], completed=False, limit=1)
    assert page == {"items": [created], "total": 1, "next_cursor": None, "as_of": None, "time_zone": None}
    changed = agent.change(created["id"], title="Buy oat milk")
    times = {"updated_at": changed["updated_at"]}
    assert changed == created | times | {"title": "Buy oat milk", "version": changed["version"]}
    refused = agent.refusal("complete_task", completed=True, version=created["version"], **task)
    assert told(refused) == (412, "precondition_failed")
    assert refused["current"] == changed
    completed = agent.call("complete_task", completed=True, version=changed["version"], **task)
    assert (completed["status"], completed["completed"]) == ("completed", True)
    assert agent.call("get_task", **task) == completed
    assert agent.call("delete_task", **task) is None
    assert told(agent.refusal("get_task", **task)) == (404, "not_found")
    back = agent.call("restore_task", item_id=created["id"])
    again = {name: back["task"][name] for name in ("updated_at", "version")}
    assert back == {"task": completed | again, "project": None}
    assert agent.call("get_task", **task) == back["task"]


def test_list_tasks_by_cursor_reads_on(agent: Agent) -> None:
    made = [agent.add(title=f"walk {number}")["id"] for number in range(3)]
    first = agent.call("find_tasks", q="walk", sort="created_at", limit=2)
    rest = agent.call("find_tasks", q="walk", sort="created_at", limit=2, cursor=first["next_cursor"])
    assert [task["id"] for task in first["items"] + rest["items"]] == made
    assert rest["next_cursor"] is None


def test_update_task_description_null_clears_it(agent: Agent) -> None:
    created = agent.add(title="Clear me", description="gone soon")
    assert agent.change(created["id"], description=None)["description"] is None


def test_complete_task_without_a_body_toggles(agent: Agent) -> None:
    created = agent.add(title="Toggle me")
    states = [agent.call("complete_task", task_id=created["id"])["completed"] for _ in range(2)]
    assert states == [True, False]


def test_create_project_unknown_member_is_the_same_400(agent: Agent) -> None:
    assert violations(agent.refusal("add_project", name="x", importance=1)) == [("/importance", "unknown")]


def test_create_project_null_name_is_the_same_400(agent: Agent) -> None:
    assert violations(agent.refusal("add_project", name=None)) == [("/name", "wrong_type")]


def test_version_may_be_a_number_or_as_an_entity_tag(agent: Agent) -> None:
    task = agent.add(title="Versioned")
    for other in (task["version"] + 1, "newest"):
        refused = agent.refusal("delete_task", task_id=task["id"], version=other)
        assert told(refused) == (412, "precondition_failed")
    refused = agent.refusal("delete_task", task_id=task["id"], version='new"est')
    assert violations(refused) == [("/version", "pattern")]
    assert agent.call("move_task", task_id=task["id"], at="last", version=task["version"]) == task
    assert agent.call("delete_task", task_id=task["id"], version=f'"{task["version"]}"') is None


def test_list_tasks_unknown_parameter_is_the_same_400(agent: Agent) -> None:
    assert violations(agent.refusal("find_tasks", page=2)) == [("/page", "unknown")]


def test_two_callers_on_one_server_are_kept_apart(caller: Callable[[str | None], Agent]) -> None:
    anna, bert = caller(token("anna")), caller(token("bert"))
    task = anna.add(title="Anna's")
    assert bert.add(title="Bert's")["title"] == "Bert's"
    assert anna.call("get_task", task_id=task["id"]) == task
    assert [kept["title"] for kept in anna.call("find_tasks")["items"]] == ["Anna's"]
    assert [kept["title"] for kept in bert.call("find_tasks")["items"]] == ["Bert's"]


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("get_task", {}),
        ("complete_task", {"completed": True}),
        ("move_task", {"at": "first"}),
        ("delete_task", {}),
    ],
)
def test_tool_for_a_task_of_another_user_is_404_as_for_a_missing_one(
    caller: Callable[[str | None], Agent], tool: str, arguments: dict[str, Any]
) -> None:
    task = caller(token("anna")).add(title="Anna's own")
    problems = []
    for task_id in (task["id"], MISSING):
        problem = caller(token("bert")).refusal(tool, task_id=task_id, **arguments)
        del problem["request_id"]
        problems.append(problem)
    assert told(problems[0]) == (404, "not_found")
    assert problems[0] == problems[1]
    assert caller(token("anna")).call("get_task", task_id=task["id"]) == task


@pytest.mark.parametrize(("tool", "arguments"), [("rename_label", {"name": "mine"}), ("remove_label", {})])
def test_tool_for_a_label_of_another_user_is_404_as_for_a_missing_one(
    caller: Callable[[str | None], Agent], tool: str, arguments: dict[str, Any]
) -> None:
    task = caller(token("anna")).add(title="Anna's labelled", labels=["annas"])
    problems = []
    for label in ("annas", "nobodys"):
        problem = caller(token("bert")).refusal(tool, label=label, **arguments)
        del problem["request_id"]
        problems.append(problem)
    assert told(problems[0]) == (404, "not_found")
    assert problems[0] == problems[1]
    assert caller(token("anna")).call("get_task", task_id=task["id"]) == task


def test_tool_that_names_a_task_or_project_of_another_user_is_400_as_for_a_missing_one(
    caller: Callable[[str | None], Agent],
) -> None:
    anna, bert = caller(token("anna")), caller(token("bert"))
    parent = anna.add(title="Anna's parent")
    project = anna.call("add_project", name="Anna's project")
    own = {"task_id": bert.add(title="Bert's own")["id"]}
    for member, ids in (("parent_id", (parent["id"], MISSING)), ("project_id", (project["id"], MISSING))):
        refused = [violations(bert.refusal("move_task", **own, **{member: each})) for each in ids]
        assert refused == [[(f"/{member}", "unknown")]] * 2


@pytest.mark.parametrize("bearer", [None, "not.a.token", token("anna", secret="another-" * 8)])
def test_tool_with_no_token_or_a_bad_one_is_401(caller: Callable[[str | None], Agent], bearer: str | None) -> None:
    assert told(caller(bearer).refusal("find_tasks")) == (401, "unauthorized")


LIST_TASKS = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "find_tasks", "arguments": {}}}


def listed(address: str, **fields: str) -> httpx2.Response:
    """The reply to a call of a tool with Ada's token."""
    headers = {"Accept": "application/json, text/event-stream", "Authorization": f"Bearer {token('ada')}"}
    return httpx2.post(address, json=LIST_TASKS, headers=headers | fields, timeout=SLACK)


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "LOCALHOST"])
def test_server_called_by_its_name_without_a_page_answers(address: str, name: str) -> None:
    host = f"{name}:{httpx2.URL(address).port}"
    assert listed(address, Host=host).status_code == 200


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_server_called_by_a_page_of_its_own_origin_answers(address: str, name: str) -> None:
    assert listed(address, Origin=f"http://{name}:{httpx2.URL(address).port}").status_code == 200


@pytest.mark.parametrize(
    "origin",
    [
        *("https://evil.example", "http://localhost:3000", "http://127.0.0.1:3000", "http://localhost", "null", ""),
        *("https://localhost:{port}", "http://[::1]:{port}", "http://evil.localhost:{port}"),
    ],
)
def test_server_called_by_a_page_of_another_origin_refuses(address: str, origin: str) -> None:
    """MCP, transports: a server checks `Origin`, or a page in the user's browser could call it."""
    assert listed(address, Origin=origin.format(port=httpx2.URL(address).port)).status_code == 403


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:{port}",
        "localhost",
        "127.0.0.1:1",
        "127.0.0.1.evil.example:{port}",
        "[::1]:{port}",
    ],
)
def test_server_called_by_another_name_refuses(address: str, host: str) -> None:
    """As after DNS rebinding."""
    assert listed(address, Host=host.format(port=httpx2.URL(address).port)).status_code == 421


def test_mcp_over_http_with_a_token_of_its_own_refuses_in_one_line(tmp_path: Path) -> None:
    said = refusal("mcp", "--http", str(free_port()), cwd=tmp_path, MCP_TOKEN="never-for-everybody")
    assert said == (
        "MCP_TOKEN is for stdio alone: with --http everybody on this machine could use it. Unset it; every caller sends"
        " a token of their own."
    )


def test_tool_while_the_service_is_away_says_so() -> None:
    from fastmcp import Client  # noqa: PLC0415  # two seconds to import

    from todo_api.mcp import tool_server, with_own_token  # noqa: PLC0415  # two seconds to import

    async def call() -> Any:
        async with Client(tool_server(f"http://127.0.0.1:{free_port()}", with_own_token(token("ada")))) as client:
            return await client.call_tool("find_tasks", {}, raise_on_error=False)

    result = asyncio.run(call())
    assert result.is_error
    assert "ConnectError" in result.content[0].text


def test_mcp_on_a_port_that_is_taken_refuses_in_one_line(live: Live, tmp_path: Path) -> None:
    said = refusal("mcp", "--http", str(live.port), cwd=tmp_path)
    assert said == f"127.0.0.1:{live.port} cannot be used (Address already in use). Choose another: --http."


def test_mcp_on_a_port_that_is_none_refuses_in_one_line(tmp_path: Path) -> None:
    said = refusal("mcp", "--http", "70000", cwd=tmp_path)
    assert said == "127.0.0.1:70000 cannot be used (a port is 0 to 65535). Choose another: --http."


def test_mcp_without_its_library_refuses_in_one_line(tmp_path: Path) -> None:
    """A folder in which `import fastmcp` finds nothing stands before the installed one."""
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules['fastmcp'] = None", encoding="utf-8")
    said = refusal("mcp", cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert said == "fastmcp is missing. Install it: python -m pip install 'fastmcp>=4.1,<5'"
