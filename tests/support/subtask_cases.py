"""Cases of `wall_cases`: users and their trees of tasks."""

from collections.abc import Callable
from typing import Any

from tests.support.client import Client
from tests.support.look_alikes import THEIR_PROJECT, THEIR_TASK, Ask, tags

TASKS = "/api/v1/me/tasks"


def seed(user: Client, mine: Any, who: str) -> None:
    """Give a user a tree: a parent with four children, the last of which has one."""
    tree = mine.trees.setdefault(who, [])
    statuses = ("pending", "pending", "pending", "in_progress", "completed", "pending")
    for parent, status in zip((None, 0, 0, 0, 0, 4), statuses, strict=True):
        body = {"title": "Boxes", "status": status, "parent_id": None if parent is None else tree[parent]}
        tree.append(user.post(TASKS, body).json()["id"])


def further_filters(mine: Any) -> list[str]:
    """Return filters by parents, each of which some tasks of the account meet."""
    return [f"&parent_id={parent}" for parent in ("none", mine.trees["account"][0])]


def create_below(ask: Ask, mine: Any) -> None:
    for who in ("account", "operator", "newcomer-below"):
        for parent in (mine.trees["account"][0], mine.trees["account"][-1], THEIR_TASK):
            for body in ({}, {"id": THEIR_TASK}, {"id": mine.trees["account"][1]}, {"project_id": THEIR_PROJECT}):
                ask(who, "POST", TASKS, {"title": "Boxes", "parent_id": parent, **body})
        ask(who, "GET", f"{TASKS}?sort=created_at&parent_id={mine.trees['account'][0]}")


def change_branches(ask: Ask, mine: Any) -> None:
    top, first, second, *_, grandchild = mine.trees["account"]
    for who in ("account", "key"):
        for task, parent in ((grandchild, first), (top, grandchild), (second, None), (second, top), (top, THEIR_TASK)):
            for condition in [*tags(ask("account", "GET", f"{TASKS}/{task}"))]:
                ask(who, "PATCH", f"{TASKS}/{task}", {"parent_id": parent}, **condition)
        for project in (*mine.projects["account"], THEIR_PROJECT, None):
            ask(who, "PATCH", f"{TASKS}/{top}", {"project_id": project})
            ask(who, "PUT", f"{TASKS}/{second}", {"title": "Boxes", "project_id": project, "parent_id": top})


def move_among_children(ask: Ask, mine: Any) -> None:
    _, first, second, third, *_ = mine.trees["account"]
    for body in ({"at": "first"}, {"at": "last"}, {"before": first}, {"after": third}, {"before": THEIR_TASK}):
        ask("account", "POST", f"{TASKS}/{second}/move", body)


def move_among_children_without_room(ask: Ask, mine: Any) -> None:
    _, *children, _ = mine.trees["account"]
    for other in children[1:]:
        for body in ({"after": other}, {"before": other}):
            ask("account", "POST", f"{TASKS}/{children[0]}/move", body)


def complete_trees(ask: Ask, mine: Any) -> None:
    top, child, *_ = mine.trees["account"]
    for who, subtasks in (("account", None), ("key", "leave"), ("account", "complete"), ("key", "complete")):
        body = {"completed": True} | ({"subtasks": subtasks} if subtasks else {})
        for condition in [*tags(ask("account", "GET", f"{TASKS}/{top}"))]:
            ask(who, "PATCH", f"{TASKS}/{top}/complete", body, **condition)
        ask(who, "PATCH", f"{TASKS}/{child}/complete")
        ask(who, "PATCH", f"{TASKS}/{top}/complete")
        ask(who, "PATCH", f"{TASKS}/{top}", {"status": "completed"})
        ask(who, "PATCH", f"{TASKS}/{top}/complete", {"completed": False})


def delete_trees(ask: Ask, mine: Any) -> None:
    for who, index in (("account", -1), ("key", 1), ("account", 0)):
        address = f"{TASKS}/{mine.trees['account'][index]}"
        for condition in [*tags(ask("account", "GET", address))]:
            ask(who, "DELETE", address, **condition)
        ask(who, "DELETE", address)
    ask("account", "GET", TASKS)


CASES: dict[str, Callable[[Ask, Any], None]] = {
    case.__name__: case
    for case in (
        create_below,
        change_branches,
        move_among_children,
        move_among_children_without_room,
        complete_trees,
        delete_trees,
    )
}

PREPARED = {
    "move_among_children_without_room": "UPDATE tasks SET position = 'm0000000000000' WHERE parent_id IS NOT NULL",
}
"""SQL to run before a case, by its name."""
