"""Writes that concern several tasks: each locks the user's row, looks, and writes.

They are one transaction. What a statement of its own could check is checked again.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from todo_api.database import RoleSession, RoleSessions, Row, Statement
from todo_api.errors import ConstraintViolated, NotFound, OpenSubtasks, ValidationFailed, Violation
from todo_api.guards import Caller
from todo_api.lists import OPEN
from todo_api.ordering import LAST, Destination
from todo_api.task_rows import Task
from todo_api.task_tree import Branch, Node, TaskTree
from todo_api.tasks import statements


class OtherZone(Exception):
    """The user is in another zone than the one with which instants were computed."""


class Change(NamedTuple):
    """A change of a task: its columns, and where to move it.

    In place of a status, `completed` reopens the task, and `toggled` reopens or completes it.
    `done` returns the task if it is as wanted, and raises if the change is not allowed. `subtasks`
    says what becomes of those below a completed task.
    """

    columns: Mapping[str, Any]
    done: Callable[[Task], Task | None]
    destination: Destination | None = None
    subtasks: str | None = None


class _Look(NamedTuple):
    """State read under the lock of the user's row. `clock` is the position key of that moment."""

    session: RoleSession
    tree: TaskTree
    clock: str
    task: Task
    node: Node


class TreeWrites:
    """Writes of a user's tasks."""

    def __init__(self, database: RoleSessions, user_id: str, caller: Caller) -> None:
        self._caller = caller
        self._database = database
        self._user_id = user_id

    def change(self, task_id: str, change: Change) -> Task:
        """Return the changed task, after moving all below it along.

        Raise NotFound, ValidationFailed, TooManySubtasks, OpenSubtasks, OtherZone, and what
        `change.done` raises.
        """
        with self._looking(task_id) as (session, tree, clock, task, node):
            done = change.done(task)
            if done is not None:
                return done
            wanted = {name: change.columns[name] for name in statements.BRANCH if name in change.columns}
            status = _status(task, change)
            below = tree.below(task.id) if wanted or status == "completed" else []
            to_do = [each for each in below if each.status in OPEN] if status == "completed" else []
            if status == "completed" and change.subtasks == "complete":
                tree.complete([each.id for each in to_do] + ([] if task.completed else [task.id]))
                return self._task(session, task_id) or task
            if to_do and not task.completed and change.subtasks is None:
                raise OpenSubtasks(len(to_do))
            branch = tree.branch(wanted, node, below) if wanted else node.branch
            destination = change.destination or (None if branch == node.branch else LAST)
            place = tree.place(node, branch, destination, clock) if destination else None
            if place is None and change.columns.keys() <= {*statements.BRANCH}:
                return task
            placed = {**branch._asdict(), "position": place.position if place else node.position}
            row = write(session, statements.change_in_tree, {**self._named(task_id), **_values(task, change), **placed})
            if row is None:
                raise OtherZone
            if place and place.siblings:
                tree.renumber(place)
            if branch.parent_id != node.branch.parent_id:
                tree.count(node.branch.parent_id, -1)
                tree.count(branch.parent_id, 1)
            if branch.project_id != node.branch.project_id:
                tree.bring(below, branch.project_id)
        return Task.of(row, self._user_id)

    def delete(self, task_id: str, check: Callable[[Task], object], *, permanent: bool) -> None:
        """Delete the task and all below it. Raise NotFound, and what `check` raises."""
        with self._looking(task_id) as look:
            check(look.task)
            look.tree.remove(look.node, permanent=permanent)

    @contextmanager
    def _looking(self, task_id: str) -> Iterator[_Look]:
        """Yield the task in a transaction that has locked the user's row. Raise NotFound."""
        with self._database.transaction() as transaction:
            session = transaction.as_user(self._user_id, self._caller.actor)
            tree = TaskTree(session, self._user_id)
            clock = tree.lock(self._caller)
            task = None if clock is None else self._task(session, task_id)
            if clock is None or task is None:
                self._caller.check(session, self._user_id)
                raise NotFound
            branch = Branch(task.after_1_0.project_id, task.after_1_0.parent_id)
            yield _Look(session, tree, clock, task, Node(task.id, task.position, branch))

    def _task(self, session: RoleSession, task_id: str) -> Task | None:
        row = session.fetch_one(statements.get, self._named(task_id))
        return None if row is None else Task.of(row, self._user_id)

    def _named(self, task_id: str) -> dict[str, Any]:
        return {"user_id": self._user_id, "task_id": task_id}


def _status(task: Task, change: Change) -> str:
    """Return the status that the task is to have."""
    if task.completed and not change.columns.keys().isdisjoint(("completed", "toggled")):
        return "pending"
    return "completed" if "toggled" in change.columns else str(change.columns.get("status", task.status))


def _values(task: Task, change: Change) -> dict[str, Any]:
    """Return the parameters of a change but for where the task stands."""
    named = [name for name in statements.PLAIN if name in change.columns]
    return {
        **dict.fromkeys((*statements.PLAIN, "zone")),
        **change.columns,
        "status": _status(task, change),
        "named": named,
    }


def write(session: RoleSession, statement: Statement, values: Mapping[str, Any]) -> Row | None:
    """Return the row of a statement. Raise ValidationFailed if there is no such project.

    The statement has found the caller's key and the task, and would have written.
    """
    try:
        return session.fetch_one(statement, values)
    except ConstraintViolated as error:
        if error.constraint != "tasks_user_id_project_id_fkey":
            raise
        detail = "There is no such project in your space."
        raise ValidationFailed([Violation("body", "/project_id", "unknown", detail)]) from error
