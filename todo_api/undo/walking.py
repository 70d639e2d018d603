"""Changes read backwards: which members to put back, and which cannot be."""

from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from todo_api.models import PRIORITIES
from todo_api.past import Change
from todo_api.projects import Project
from todo_api.schemas import utc
from todo_api.task_dates import represented
from todo_api.task_rows import Task

Members = dict[str, Any]
"""Values by the contract's names of members, as history has them."""

BRANCH = ("project_id", "parent_id")
"""Members that say what a task hangs on."""


_TOGETHER = (("status", "completed_at"), (*BRANCH, "position"))


def members_of(task: Task) -> Members:
    """Return the members of a task that history tells of."""
    more = task.after_1_0
    due, start = represented(more.dates)
    return {
        "title": task.title,
        "description": task.description,
        "status": task.status,
        "completed_at": None if task.completed_at is None else _to_microseconds(utc(task.completed_at)),
        "priority": PRIORITIES[more.priority],
        "labels": orjson.loads(more.labels or "[]"),
        "links": orjson.loads(more.links or "[]"),
        "due": due,
        "start": start,
        "project_id": more.project_id,
        "parent_id": more.parent_id,
        "position": task.position,
    }


def _to_microseconds(time: str) -> str:
    return time if "." in time else f"{time[:-1]}.000000Z"


def members_of_project(project: Project) -> Members:
    """Return the members of a project that history tells of."""
    return {name: getattr(project, name) for name in ("name", "description", "color", "position")}


def before(changes: Sequence[Change]) -> tuple[Members, set[str]]:
    """Return members as they were before the first change, and the names of those not kept."""
    found: Members = {}
    lost = set()
    for change in changes:
        for name, (value, _) in change.members.items():
            if name not in found:
                found[name] = value
                if not change.is_whole(name, value):
                    lost.add(name)
    return found, lost


def differing(then: Members, now: Members) -> Members:
    """Return the members to put back, so that all are as they were then.

    A subtask has the project of its parent, then as now.
    """
    back = {name: value for name, value in then.items() if now[name] != value}
    if back.get("parent_id", now.get("parent_id")) is not None:
        back.pop("project_id", None)
    return back


def taken_back(change: Change, now: Members) -> tuple[Members, list[str]]:
    """Return the members to put back, and those that have become something else since.

    Some go together: what is completed has a time of that, and a place is one of siblings. The
    position is in nobody's way: another one stays, unless the task comes back from elsewhere.
    """
    back: Members = {}
    clashes = set()
    for name, (then, after) in change.members.items():
        if now[name] == then:
            continue
        if now[name] == after and change.is_whole(name, then) and change.is_whole(name, after):
            back[name] = then
        elif name != "position":
            clashes.add(name)
    for group in _TOGETHER:
        if not clashes.isdisjoint(group):
            back = {name: value for name, value in back.items() if name not in group}
    if "position" in change.members and not back.keys().isdisjoint(BRANCH):
        back["position"] = change.members["position"][0]
    return differing(back, now), sorted(clashes)


def pointers(names: Iterable[str]) -> list[str]:
    """Return the members as JSON Pointers, in the order of the alphabet."""
    return [f"/{name}" for name in sorted(names)]
