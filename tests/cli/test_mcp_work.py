"""What an agent does that only reads the tools: every argument is what schemas and replies gave it."""

from tests.support.agents import Agent, told


def test_twenty_tasks_of_work_meet_no_refusal(agent: Agent) -> None:
    tasks = [agent.call("add_task", title=f"Chore {number}", description="By the agent") for number in range(20)]
    for number, task in enumerate(tasks):
        read = agent.call("get_task", task_id=task["id"])
        tag = {"If-Match": f'"{read["version"]}"'}
        changed = agent.call("update_task", task_id=task["id"], status="in_progress", description=None, **tag)
        assert agent.call("complete_task", task_id=task["id"], completed=True)["completed"] is True
        if number % 2:
            reopened = agent.call("update_task", task_id=task["id"], completed=False, title=f"Chore {number} again")
            assert (reopened["status"], reopened["version"] > changed["version"]) == ("pending", True)
    found, cursor = [], {}
    while True:
        page = agent.call("find_tasks", q="chore", limit=7, sort="title", **cursor)
        found += page["items"]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert (len(found), page["total"]) == (20, 20)
    assert sum(task["completed"] for task in found) == 10
    for task in found:
        agent.call("delete_task", task_id=task["id"])
    assert agent.call("find_tasks", q="chore")["total"] == 0


def test_twenty_tasks_with_dates_in_projects_and_in_order_meet_no_refusal(agent: Agent) -> None:
    project = agent.call("add_project", name="Move house")
    assert project["id"] in [each["id"] for each in agent.call("find_projects")["items"]]
    days = [{"date": f"2126-11-{number + 1:02}"} for number in range(20)]
    tasks = [
        agent.call(
            "add_task",
            title=f"Box {number}",
            project_id=project["id"],
            priority="high",
            start=day,
            due=day | {"time": "18:00"},
        )
        for number, day in enumerate(days)
    ]
    for task in tasks:
        agent.call("move_task", task_id=task["id"], at="first")
    agent.call("move_task", task_id=tasks[0]["id"], before=tasks[19]["id"])
    wanted = [tasks[0]["id"], *(task["id"] for task in reversed(tasks[1:]))]
    ordered = agent.call("find_tasks", project_id=project["id"], sort="position")
    assert [task["id"] for task in ordered["items"]] == wanted
    found = agent.call("find_tasks", due_from="2126-11-03", due_to="2126-11-04", startable=False, sort="due")
    assert [task["id"] for task in found["items"]] == [task["id"] for task in tasks[2:4]]
    later = agent.call("update_task", task_id=tasks[0]["id"], due={"date": "2126-12-01"})
    assert (later["due"]["date"], later["due"]["time"]) == ("2126-12-01", "18:00")
    free = agent.call("update_task", task_id=tasks[0]["id"], due=None, start=None, project_id=None, priority="none")
    assert (free["due"], free["start"], free["project_id"]) == (None, None, None)
    for task in tasks:
        agent.call("complete_task", task_id=task["id"], completed=True)
    assert agent.call("find_tasks", project_id=project["id"], completed=True)["total"] == 19
    for task in tasks:
        agent.call("delete_task", task_id=task["id"])


def test_twenty_tasks_with_labels_and_subtasks_meet_no_refusal(agent: Agent) -> None:
    house = agent.call("add_project", name="House")
    rooms = [
        agent.call("add_task", title=f"Room {number}", project_id=house["id"], labels=["Paint", "24/7 & 100 %"])
        for number in range(4)
    ]
    walls = [
        agent.call("add_task", title=f"Wall {number}", parent_id=rooms[number // 4]["id"], labels=["paint"])
        for number in range(16)
    ]
    assert {wall["project_id"] for wall in walls} == {house["id"]}
    below = agent.call("find_tasks", parent_id=rooms[0]["id"], sort="position")["items"]
    assert [task["id"] for task in below] == [wall["id"] for wall in walls[:4]]
    assert agent.call("find_tasks", project_id=house["id"], parent_id="none")["total"] == 4
    assert agent.call("find_tasks", label=["PAINT", "24/7 & 100 %"], priority=["none", "low"])["total"] == 4
    assert agent.call("find_labels")["items"] == [
        {"name": "24/7 & 100 %", "open_tasks": 4},
        {"name": "Paint", "open_tasks": 20},
    ]
    assert agent.call("rename_label", label="paint", name="Wall")["count"] == 20
    assert agent.call("rename_label", label="24/7 & 100 %", name="wall", merge=True)["count"] == 20
    kept = agent.call("update_task", task_id=rooms[1]["id"], labels=["wall", "first"])
    assert kept["labels"] == ["first", "wall"]
    moved = agent.call("move_task", task_id=walls[0]["id"], parent_id=rooms[1]["id"], at="first")
    assert moved["parent_id"] == rooms[1]["id"]
    below = agent.call("find_tasks", parent_id=rooms[1]["id"], sort="position")["items"]
    assert [task["id"] for task in below] == [wall["id"] for wall in walls[:1] + walls[4:8]]
    agent.call("move_task", task_id=walls[0]["id"], after=walls[5]["id"])
    out = agent.call("move_task", task_id=walls[0]["id"], parent_id=None, project_id=None)
    assert (out["parent_id"], out["project_id"]) == (None, None)
    refused = agent.refusal("complete_task", task_id=rooms[0]["id"], completed=True)
    assert (told(refused), refused["open"]) == ((409, "open_subtasks"), 3)
    agent.call("complete_task", task_id=rooms[0]["id"], completed=True, subtasks="complete")
    assert agent.call("find_tasks", parent_id=rooms[0]["id"], completed=True)["total"] == 3
    agent.call("complete_task", task_id=rooms[1]["id"], completed=True, subtasks="leave")
    assert agent.call("find_tasks", parent_id=rooms[1]["id"], completed=False)["total"] == 4
    assert agent.call("remove_label", label="WALL")["count"] == 20
    assert agent.call("find_labels")["items"] == [{"name": "first", "open_tasks": 0}]
    for task in [*rooms, walls[0]]:
        agent.call("delete_task", task_id=task["id"])
    assert agent.call("find_tasks", q="wall")["total"] == 0


def test_what_changed_tells_what_others_did_since_the_agent_last_asked(agent: Agent) -> None:
    """Tasks are as `get_task` returns them: without their owner."""
    first = agent.call("add_task", title="there before")
    before = agent.call("what_changed")
    assert before["full"]
    assert first in before["tasks"]
    kept, gone = (agent.call("add_task", title=title) for title in ("kept", "gone"))
    agent.call("delete_task", task_id=gone["id"])
    page = agent.call("what_changed", since=before["next"], limit=50)
    assert (page["full"], page["more"]) == (False, False)
    assert page["tasks"] == [agent.call("get_task", task_id=kept["id"])]
    assert [(each["kind"], each["id"]) for each in page["deleted"]] == [("task", gone["id"])]
    assert agent.call("what_changed", since=page["next"])["tasks"] == []
    for task in (first, kept):
        agent.call("delete_task", task_id=task["id"])


def test_tools_that_write_return_the_whole_task(agent: Agent) -> None:
    """They describe no reply: it is the one that `get_task` describes."""
    (reading,) = (tool for tool in agent.tools() if tool.name == "get_task")
    created = agent.call("add_task", title="Whole", labels=["whole"], due={"date": "2126-11-20"})
    task = {"task_id": created["id"]}
    replies = [
        created,
        agent.call("update_task", title="Wholly", **task),
        agent.call("complete_task", completed=True, **task),
        agent.call("move_task", at="first", **task),
    ]
    assert [reply.keys() ^ reading.output_schema["required"] for reply in replies] == [set()] * 4
    agent.call("delete_task", **task)
