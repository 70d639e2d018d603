"""Reversions for tests: sent, and the state that they are to bring back."""

from typing import Any
from uuid import uuid4

from tests.support.client import Client, Reply
from tests.support.rows import rows
from tests.support.tasks import create
from tests.support.trees import wrong

ME = "/api/v1/me"
PROJECTS = f"{ME}/projects"
OF_SERVER = {"version", "updated_at"}


def revert(client: Client, seq: int, body: Any = None, **more: Any) -> Reply:
    return client.post(f"{ME}/changes/{seq}/revert", body, **more)


def reverted(client: Client, seq: int, body: Any = None) -> tuple[int, int]:
    """Return the number of a reversion that succeeds, and how many objects it changed."""
    reply = revert(client, seq, body)
    assert reply.status == 200, reply.content
    return reply.json()["seq"], reply.json()["count"]


def conflicts(reply: Reply) -> list[tuple[str, list[str]]]:
    """Return what stands in the way: ids, and members."""
    problem = reply.json()
    assert (reply.status, problem["code"]) == (409, "conflict"), problem
    return [(each["id"], each["fields"]) for each in problem["conflicts"]]


def state(client: Client, direct: str) -> dict[str, Any]:
    """Return everything of the user but versions and times of writes."""
    tasks = client.get(f"{ME}/tasks?limit=1000").json()["items"]
    projects = client.get(PROJECTS).json()["items"]
    user_id = client.get(f"{ME}/account").json()["id"]
    labels = f"SELECT task_id, label_key, name FROM task_labels WHERE user_id = '{user_id}' ORDER BY task_id, label_key"
    assert wrong(direct, {"user_id": user_id}) == []
    counts = f"SELECT projects = (SELECT count(*) FROM projects p WHERE p.user_id = u.id) FROM users u WHERE id = '{user_id}'"
    assert rows(direct, counts) == [(True,)]
    return {
        kind: {each["id"]: {name: value for name, value in each.items() if name not in OF_SERVER} for each in found}
        for kind, found in (("tasks", tasks), ("projects", projects))
    } | {"labels": rows(direct, labels)}


def batch_of_a_hundred(client: Client) -> list[dict[str, Any]]:
    """Return operations of every kind but deletions, on things old and new, some of them changed twice."""
    projects = [client.post(PROJECTS, {"name": f"project {number}"}).json()["id"] for number in range(3)]
    tasks = [
        create(client, f"task {number}", labels=[f"label {number % 5}", "all"], project_id=projects[number % 3])
        for number in range(30)
    ]
    ids = [each["id"] for each in tasks]
    subtasks = [create(client, f"subtask {number}", parent_id=ids[number])["id"] for number in range(10)]
    new, project = [str(uuid4()) for _ in range(20)], str(uuid4())
    operations: list[dict[str, Any]] = [{"create_project": {"id": project, "name": "new"}}]
    operations += [
        {"create_task": {"id": id_, "title": f"new {number}", "labels": ["new"], "project_id": project}}
        for number, id_ in enumerate(new)
    ]
    operations += [{"complete_task": {"id": id_, "subtasks": "leave"}} for id_ in (*ids[:6], *new[:4])]
    operations += [
        {"move_task": {"id": id_, "parent_id": parent}} for id_, parent in zip(ids[10:16], new, strict=False)
    ]
    operations += [{"move_task": {"id": id_, "parent_id": ids[20]}} for id_ in subtasks]
    operations += [{"move_task": {"id": ids[25], "at": "first"}}, {"move_project": {"id": projects[2], "at": "first"}}]
    operations += [{"rename_label": {"label": "label 1", "name": "renamed"}}, {"remove_label": {"label": "all"}}]
    operations += [{"update_project": {"id": projects[0], "change": {"name": "changed", "color": "#112233"}}}]
    changes: list[dict[str, Any]] = [
        {"title": "changed", "due": {"date": "2026-12-24", "time": "18:00", "time_zone": "Europe/Berlin"}},
        {"description": "New.", "priority": "urgent", "start": {"date": "2026-12-01"}},
        {"labels": ["renamed", "more"], "links": [{"url": "https://more.example/"}]},
        {"status": "cancelled", "project_id": None},
    ]
    while len(operations) < 100:
        number = len(operations)
        target = [*ids[16:20], *ids[21:], *new[10:]][number % 23]
        operations.append({"update_task": {"id": target, "change": changes[number % 4]}})
    return operations
