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


CASES: dict[str, Callable[[Ask, Any], None]] = {
    case.__name__: case for case in (patch_with_a_base, revert_a_task, revert_a_write)
}
