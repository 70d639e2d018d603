"""Cases of `wall_cases`: patches against a version, and undo."""

from collections.abc import Callable
from typing import Any

from tests.support.look_alikes import THEIR_TASK, Ask

TASKS = "/api/v1/me/tasks"


def patch_with_a_base(ask: Ask, mine: Any) -> None:
    for who in ("account", "key", "operator"):
        task = ask(who, "POST", TASKS, {"title": "Buy milk"}).json()
        address, base = f"{TASKS}/{task['id']}", task["version"]
        for title in ("Buy oats", "Buy milk"):
            ask(who, "PATCH", address, {"title": title})
        for number in range(base - 1, base + 4):
            ask(who, "PATCH", f"{address}?base={number}", {"title": "Buy rice"})
            ask(who, "PATCH", f"{address}?base={number}", {"description": "Two bags."})
        ask(who, "PATCH", f"{TASKS}/{THEIR_TASK}?base={base}", {"title": "Buy rice"})


def revert_a_task(ask: Ask, mine: Any) -> None:
    for who in ("account", "key", "operator"):
        project = ask(who, "POST", "/api/v1/me/projects", {"name": "Kitchen"}).json()["id"]
        above = ask(who, "POST", TASKS, {"title": "Bake", "project_id": project}).json()["id"]
        members = {"labels": ["shop", "oats"], "due": {"date": "2026-11-20"}, "parent_id": above}
        task = ask(who, "POST", TASKS, {"title": "Buy milk", **members}).json()
        ask(who, "POST", TASKS, {"title": "Buy cream", "parent_id": task["id"]})
        address, version = f"{TASKS}/{task['id']}", task["version"]
        ask(who, "PATCH", address, {"labels": ["Shop"], "due": None, "status": "in_progress", "title": "Buy rice"})
        ask(who, "PATCH", address, {"parent_id": None, "project_id": None})
        for number in (version - 1, version, version + 9, version + 2, version):
            ask(who, "POST", f"{address}/revert", {"version": number})
            ask(who, "POST", f"{address}/revert", {"version": number}, **{"If-Match": '"1"'})
        ask(who, "POST", f"{TASKS}/{THEIR_TASK}/revert", {"version": version})


def revert_a_write(ask: Ask, mine: Any) -> None:
    for who in ("account", "key", "operator"):
        project = ask(who, "POST", "/api/v1/me/projects", {"name": "Kitchen"}).json()
        task = ask(who, "POST", TASKS, {"title": "Bake", "labels": ["shop"], "project_id": project["id"]}).json()
        below = ask(who, "POST", TASKS, {"title": "Buy cream", "parent_id": task["id"]}).json()
        address = f"{TASKS}/{task['id']}"
        for body in (
            {"labels": ["home"], "status": "in_progress"},
            {"project_id": None},
            {"project_id": project["id"]},
        ):
            ask(who, "PATCH", address, body)
        ask(who, "PATCH", f"/api/v1/me/projects/{project['id']}", {"name": "Garden"})
        ask(who, "DELETE", f"{TASKS}/{below['id']}")
        last = below["version"] + 5
        for number in (*range(last, project["version"] - 1, -1), last, last + 99, 1, 2):
            ask(who, "POST", f"/api/v1/me/changes/{number}/revert")
            ask(who, "POST", f"/api/v1/me/changes/{number}/revert", {"force": True})
        new = ask(who, "POST", TASKS, {"title": "Mistake"}).json()
        ask(who, "POST", TASKS, {"title": "Below", "parent_id": new["id"]})
        ask(who, "POST", f"/api/v1/me/changes/{new['version']}/revert", {"force": True})


def revert_what_others_have(ask: Ask, mine: Any) -> None:
    """Take back writes of objects that are older than the others, who have them under the same ids."""
    for who, number in (("account", 0), ("key", 1)):
        task, project = f"{TASKS}/{mine.tasks['pending'][number]}", mine.projects["account"][number]
        first = ask(who, "GET", task).json()["version"]
        for body, is_taken_back in (
            ({"title": "Buy rye", "labels": ["home"], "due": {"date": "2026-11-20"}}, True),
            ({"project_id": project}, False),
            ({"project_id": None}, True),
            ({"project_id": None}, False),
            ({"parent_id": mine.tasks["in_progress"][number]}, False),
            ({"parent_id": None}, True),
        ):
            version = ask(who, "PATCH", task, body).json()["version"]
            if is_taken_back:
                ask(who, "POST", f"/api/v1/me/changes/{version}/revert")
        ask(who, "PATCH", f"{task}?base={first}", {"description": "Two bags."})
        ask(who, "POST", f"{task}/revert", {"version": first})
        version = ask(who, "PATCH", f"/api/v1/me/projects/{project}", {"name": "Garden"}).json()["version"]
        ask(who, "POST", f"/api/v1/me/changes/{version}/revert")
        ask(who, "DELETE", task)
        ask(who, "POST", f"/api/v1/me/changes/{version + 2}/revert")


CASES: dict[str, Callable[[Ask, Any], None]] = {
    case.__name__: case for case in (patch_with_a_base, revert_a_task, revert_a_write, revert_what_others_have)
}
