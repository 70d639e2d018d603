"""`todo-api mcp`: the tools that add or change several tasks at once."""

from typing import Any

import pytest

from tests.support.agents import Agent, told, violations

MISSING = "01932c07-9f7a-7c1d-b6a1-5a2f0f5d1c3e"
BRIEF = {"id", "title", "status", "due", "priority", "labels", "project_id", "parent_id", "version"}


def test_tasks_are_added_together_and_told_in_short_in_their_order(agent: Agent) -> None:
    added = agent.call(
        "add_tasks", tasks=[{"title": f"Plank {n}", "links": [{"url": "https://a.example"}]} for n in range(100)]
    )
    assert [task["title"] for task in added["tasks"]] == [f"Plank {n}" for n in range(100)]
    assert {frozenset(task) for task in added["tasks"]} == {frozenset(BRIEF)}
    assert len({task["version"] for task in added["tasks"]}) == 1
    whole = agent.call("get_task", task_id=added["tasks"][7]["id"])
    assert {name: whole[name] for name in BRIEF} == added["tasks"][7]


def test_tasks_are_changed_together_if_they_still_have_the_version(agent: Agent) -> None:
    first, second = agent.call("add_tasks", tasks=[{"title": "First"}, {"title": "Second"}])["tasks"]
    changed = agent.call(
        "update_tasks",
        tasks=[
            {"id": first["id"], "version": first["version"], "change": {"priority": "high"}},
            {"id": second["id"], "change": {"status": "cancelled"}},
        ],
    )["tasks"]
    assert [(task["priority"], task["status"]) for task in changed] == [("high", "pending"), ("none", "cancelled")]
    stale = {"id": first["id"], "version": first["version"], "change": {"title": "Lost"}}
    refused = agent.refusal("update_tasks", tasks=[{"id": second["id"], "change": {"title": "Lost"}}, stale])
    assert (told(refused), refused["index"]) == ((412, "precondition_failed"), 1)
    assert refused["current"] == agent.call("get_task", task_id=first["id"])
    assert agent.call("find_tasks", q="lost")["total"] == 0


GOOD = {"title": "Never kept"}
BAD: dict[str, tuple[Any, list[tuple[str, str]], int | None]] = {
    "a member that is none": ([GOOD, {"title": "x", "importance": 1}], [("/tasks/1/importance", "unknown")], 1),
    "several": (
        [{"title": ""}, GOOD, {"title": "x", "due": {"time": "17:30"}}],
        [("/tasks/0/title", "pattern"), ("/tasks/2/due/date", "required")],
        0,
    ),
    "a task that is none": ([GOOD, "Buy milk"], [("/tasks/1", "wrong_type")], 1),
    "another's project": ([GOOD, {"title": "x", "project_id": MISSING}], [("/tasks/1/project_id", "unknown")], 1),
    "no list": ("Buy milk", [("/tasks", "wrong_type")], None),
    "null": (None, [("/tasks", "wrong_type")], None),
    "none": ([], [("/tasks", "too_few")], None),
    "a hundred and one": ([GOOD] * 101, [("/tasks", "too_many")], None),
}


@pytest.mark.parametrize("case", BAD)
def test_task_that_cannot_be_added_is_named_in_the_words_of_the_tool(agent: Agent, case: str) -> None:
    tasks, found, index = BAD[case]
    refused = agent.refusal("add_tasks", tasks=tasks)
    assert sorted(violations(refused)) == found
    assert refused.get("index") == index
    assert "operation" not in str(refused)
    assert "create_task" not in str(refused)
    assert agent.call("find_tasks", q="never kept")["total"] == 0


def test_task_that_cannot_be_changed_is_named_in_the_words_of_the_tool(agent: Agent) -> None:
    task = agent.add(title="Kept as it is")
    good = {"id": task["id"], "change": {"title": "Other"}}
    bad = [{"id": task["id"]}, {"id": task["id"], "title": "x"}, {"id": task["id"], "change": {"priority": "huge"}}]
    refused = agent.refusal("update_tasks", tasks=[good, *bad])
    assert sorted(violations(refused)) == [
        ("/tasks/1/change", "required"),
        ("/tasks/2/change", "required"),
        ("/tasks/2/title", "unknown"),
        ("/tasks/3/change/priority", "not_allowed"),
    ]
    refused = agent.refusal("update_tasks", tasks=[good, {"id": MISSING, "change": {"title": "x"}}])
    assert (told(refused), refused["index"]) == ((404, "not_found"), 1)
    twice = {"id": task["id"], "version": task["version"], "change": {"title": "x"}}
    assert violations(agent.refusal("update_tasks", tasks=[good, twice])) == [("/tasks/1/version", "conflicting")]
    assert agent.call("get_task", task_id=task["id"]) == task


def test_argument_that_the_tool_does_not_have_is_refused_in_its_words(agent: Agent) -> None:
    refused = agent.refusal("add_tasks", tasks=[GOOD], title="x")
    assert violations(refused) == [("/title", "unknown")]
    assert "Known are: tasks." in refused["errors"][0]["detail"]
    refused = agent.refusal("add_tasks", title="x")
    assert sorted(violations(refused)) == [("/tasks", "required"), ("/title", "unknown")]


def test_tasks_are_added_once_with_one_key(agent: Agent) -> None:
    key = {"Idempotency-Key": "7c9e6679-7425-40de-944b-e07fc1f90ae7"}
    added = [agent.call("add_tasks", tasks=[{"title": "Once"}, {"title": "Once"}], **key) for _ in range(2)]
    assert added[0] == added[1]
    assert agent.call("find_tasks", q="once")["total"] == 2


def test_task_is_added_with_its_subtasks_in_one_call(agent: Agent) -> None:
    id_ = "0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d"
    tasks = [{"id": id_, "title": "Roof"}, {"title": "Rafters", "parent_id": id_}, {"title": "Tiles", "parent_id": id_}]
    agent.call("add_tasks", tasks=tasks)
    below = agent.call("find_tasks", parent_id=id_, sort="position")["items"]
    assert [task["title"] for task in below] == ["Rafters", "Tiles"]
    refused = agent.refusal("add_tasks", tasks=[GOOD, tasks[0]])
    assert (told(refused), refused["index"], refused["current"]["title"]) == ((409, "id_taken"), 1, "Roof")
