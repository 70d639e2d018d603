"""Patches against a version: what others have changed since stays, and a clash is refused."""

from collections.abc import Iterator, Mapping
from typing import Any

from todo_api.database import RoleSessions
from todo_api.errors import NotFound
from todo_api.guards import Caller
from todo_api.past import Past
from todo_api.task_dates import MEMBERS, represented
from todo_api.task_rows import Task
from todo_api.task_tree import TaskTree
from todo_api.tasks.service import TaskService, stored_members


def merge(database: RoleSessions, user_id: str, caller: Caller, task_id: str, patch: dict[str, Any], base: int) -> Task:
    """Return the task with the members of a patch that was made of the version `base`.

    Raise what `Past.check_base` and `TaskService.change` raise.
    """
    with database.transaction() as transaction:
        session = transaction.as_user(user_id)
        if TaskTree(session, user_id).lock(caller) is None:
            caller.check(session, user_id)
            raise NotFound
        tasks = TaskService(transaction, user_id, caller)
        task = tasks.get(task_id)
        Past(session, user_id).check_base(task, base, [*_set_by(patch, task)])
        return tasks.change(task_id, patch, None)


def _set_by(patch: Mapping[str, Any], task: Task) -> Iterator[str]:
    """Yield the members that a patch would set to something else than the task has."""
    dates = dict(zip(MEMBERS, represented(task.after_1_0.dates), strict=True))
    for name, value in patch.items():
        if _moves(dates[name], value) if name in dates else not task.has(stored_members({name: value})):
            yield "status" if name == "completed" else name


def _moves(moment: Mapping[str, Any] | None, patch: Mapping[str, Any] | None) -> bool:
    """Return whether a patch of a date changes it. Without a date either is None."""
    if patch is None or moment is None:
        return patch is not moment
    return any(moment[part] != value for part, value in patch.items())
