"""`todo-api mcp`: an agent tries each tool that writes, and nothing is kept."""

from typing import Any

import pytest

from tests.support.agents import Agent, named_tools
from todo_api import contract

DOCUMENT = contract.load(contract.TASK_API)
WRITING = {words["name"]: operation for words, method, operation in named_tools(DOCUMENT) if method != "get"}
"""The tools that write, with their operations."""

KEY = "0f8fad5b-d9cb-469f-a165-70867728950e"


def test_dry_run_is_an_argument_of_every_tool_that_writes_and_of_no_other(agent: Agent) -> None:
    having = {tool.name: tool.input_schema["properties"]["dry_run"] for tool in agent.tools() if takes_dry_run(tool)}
    assert having.keys() == WRITING.keys()
    (said,) = {(schema["type"], schema["description"]) for schema in having.values()}
    assert said == ("boolean", "Try it and keep nothing. The reply is what it would give now.")
    assert not [tool.name for tool in agent.tools() if "dry_run" in tool.input_schema.get("required", ())]
    assert "dry_run" in agent.instructions()


def takes_dry_run(tool: Any) -> bool:
    """Return whether a tool has the argument."""
    return "dry_run" in tool.input_schema["properties"]


@pytest.mark.parametrize("tool", WRITING)
def test_tool_that_is_tried_tells_what_it_would_do_and_keeps_nothing(agent: Agent, tool: str) -> None:
    task = agent.add(title="Kept", labels=["home"])
    agent.add(title="After it")
    content = WRITING[tool].get("requestBody", {}).get("content", {"": {"examples": {"": {"value": {}}}}})
    (media,) = content.values()
    arguments = contract.resolve(DOCUMENT, next(iter(media["examples"].values())))["value"]
    if tool == "move_task":
        arguments = {"at": "last"}
    if tool == "restore_task":
        agent.call("delete_task", task_id=task["id"])
        arguments = {"item_id": task["id"]}
    elif tool.endswith("_task"):
        arguments = arguments | {"task_id": task["id"]}
    if tool == "add_tasks":
        arguments = {"tasks": [{"title": "New"}]}
    if tool == "update_tasks":
        arguments = {"tasks": [{"id": task["id"], "change": {"title": "Other"}}]}
    if tool.endswith("_label"):
        arguments = arguments | {"label": "home"}
    if tool == "undo":
        arguments = {"seq": task["version"]}
    before = everything(agent)
    keyed = {"Idempotency-Key": KEY} if takes(agent, tool, "Idempotency-Key") else {}
    tried = agent.call(tool, **arguments, **keyed, dry_run=True)
    assert everything(agent) == before
    done = agent.call(tool, **arguments, dry_run=False)
    assert everything(agent) != before
    assert (tried is None) == (done is None)
    if tried is not None:
        assert versions(tried) == versions(done)


def takes(agent: Agent, tool: str, argument: str) -> bool:
    """Return whether a tool has an argument."""
    (found,) = (each for each in agent.tools() if each.name == tool)
    return argument in found.input_schema["properties"]


def versions(reply: Any) -> list[int]:
    """Return the versions of the tasks, or of the one thing, in a reply: or the number of a write."""
    if "count" in reply and "seq" in reply:
        return [reply["seq"]]
    return [each["version"] for each in reply.get("tasks", [reply.get("task", reply)])]


def everything(agent: Agent) -> list[Any]:
    """Return the tasks and the projects."""
    return [agent.call("find_tasks", sort="position", limit=1000), agent.call("find_projects")]
