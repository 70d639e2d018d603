"""What an agent does that only reads the tools: every argument is what schemas and replies gave it."""

from uuid import uuid4

from tests.support.agents import Agent, told

LABELS = ["Paint", "24/7 & 100 %"]


def test_twenty_tasks_of_work_meet_no_refusal(agent: Agent) -> None:
    chores = [{"title": f"Chore {number}", "description": "By the agent"} for number in range(20)]
    tried = agent.call("add_tasks", tasks=chores, dry_run=True)["tasks"]
    assert agent.call("find_tasks", q="chore")["total"] == 0
    tasks = agent.call("add_tasks", tasks=chores)["tasks"]
    assert [task["title"] for task in tasks] == [task["title"] for task in tried] == [each["title"] for each in chores]
    begun = agent.call(
        "update_tasks",
        tasks=[
            {"id": task["id"], "version": task["version"], "change": {"status": "in_progress", "description": None}}
            for task in tasks
        ],
    )["tasks"]
    for task in begun[:10]:
        done = agent.call("complete_task", task_id=task["id"], completed=True, version=task["version"])
        assert done["completed"] is True
    agent.call("update_tasks", tasks=[{"id": task["id"], "change": {"completed": True}} for task in begun[10:]])
    again = [{"id": task["id"], "change": {"completed": False, "title": "Chore again"}} for task in begun[::2]]
    reopened = agent.call("update_tasks", tasks=again)["tasks"]
    assert {task["status"] for task in reopened} == {"pending"}
    assert reopened[0]["version"] > begun[0]["version"]
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
    boxes = {"project_id": project["id"], "priority": "high"}
    tasks = agent.call(
        "add_tasks",
        tasks=[
            {"title": f"Box {number}", "start": day, "due": day | {"time": "18:00"}, **boxes}
            for number, day in enumerate(days)
        ],
    )["tasks"]
    for task in tasks:
        agent.call("move_task", task_id=task["id"], at="first")
    agent.call("move_task", task_id=tasks[0]["id"], before=tasks[19]["id"])
    wanted = [tasks[0]["id"], *(task["id"] for task in reversed(tasks[1:]))]
    ordered = agent.call("find_tasks", project_id=project["id"], sort="position")
    assert [task["id"] for task in ordered["items"]] == wanted
    found = agent.call("find_tasks", due_from="2126-11-03", due_to="2126-11-04", startable=False, sort="due")
    assert [task["id"] for task in found["items"]] == [task["id"] for task in tasks[2:4]]
    later = agent.change(tasks[0]["id"], due={"date": "2126-12-01"})
    assert (later["due"]["date"], later["due"]["time"]) == ("2126-12-01", "18:00")
    free = agent.change(tasks[0]["id"], due=None, start=None, project_id=None, priority="none")
    assert (free["due"], free["start"], free["project_id"]) == (None, None, None)
    for task in tasks:
        agent.call("complete_task", task_id=task["id"], completed=True)
    assert agent.call("find_tasks", project_id=project["id"], completed=True)["total"] == 19
    for task in tasks:
        agent.call("delete_task", task_id=task["id"])


def test_twenty_tasks_with_labels_and_subtasks_meet_no_refusal(agent: Agent) -> None:
    house = agent.call("add_project", name="House")
    ids = [str(uuid4()) for _ in range(4)]
    added = agent.call(
        "add_tasks",
        tasks=[
            *({"id": id_, "title": f"Room {id_}", "project_id": house["id"], "labels": LABELS} for id_ in ids),
            *({"title": f"Wall {n}", "parent_id": ids[n // 4], "labels": ["Paint"]} for n in range(16)),
        ],
    )["tasks"]
    rooms, walls = added[:4], added[4:]
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
    kept = agent.change(rooms[1]["id"], labels=["wall", "first"])
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
    first = agent.add(title="there before")
    before = agent.call("what_changed")
    assert before["full"]
    assert first in before["tasks"]
    kept, gone = (agent.add(title=title) for title in ("kept", "gone"))
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
    created = agent.add(title="Whole", labels=["whole"], due={"date": "2126-11-20"})
    task = {"task_id": created["id"]}
    replies = [
        agent.call("complete_task", completed=True, **task),
        agent.call("move_task", at="first", **task),
    ]
    assert [reply.keys() ^ reading.output_schema["required"] for reply in replies] == [set()] * 2
    agent.call("delete_task", **task)
