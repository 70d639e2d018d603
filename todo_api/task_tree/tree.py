"""The rules of where tasks stand. Each method reads or writes in a transaction with the lock."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from todo_api.database import RoleSession, Statement
from todo_api.errors import TooManySubtasks, TooManyTasks, ValidationFailed, Violation
from todo_api.guards import Caller
from todo_api.models import MOST_AT_ONCE
from todo_api.ordering import Destination, evenly_spaced, key_after, key_before, key_between, keys_between
from todo_api.task_tree import statements

MOST_CHILDREN = 200
"""Maximum number of children of a task."""

DEEPEST = 5
"""Maximum depth of a task. One without a parent has depth 1."""

Neighbour = tuple[str, str]
"""Position and id of a task, which siblings are sorted by."""

_LOWEST = ("", "00000000-0000-0000-0000-000000000000")
_HIGHEST = ("n", "ffffffff-ffff-ffff-ffff-ffffffffffff")
"""Below and above every task: a position begins with m."""


NEAR = 500
"""Number of siblings on each side that get new positions if there is no room between two."""


class Branch(NamedTuple):
    """Project and parent of a task. Siblings share the parent, or the project if there is none."""

    project_id: str | None = None
    parent_id: str | None = None

    @property
    def kind(self) -> str:
        """Return what the siblings have in common."""
        return "parent" if self.parent_id else "project" if self.project_id else "inbox"


class Node(NamedTuple):
    """A task as the tree sees it."""

    id: str
    position: str
    branch: Branch


class Descendant(NamedTuple):
    """A task below another. A child has level 1."""

    id: str
    status: str
    level: int


class Place(NamedTuple):
    """The new position of a task, and those of its siblings if there was no room."""

    position: str
    siblings: Sequence[str] = ()
    positions: Sequence[str] = ()


class TaskTree:
    """The tasks of a user, seen by a transaction."""

    def __init__(self, session: RoleSession, user_id: str) -> None:
        self._db = session
        self._user_id = user_id

    def lock(self, caller: Caller) -> str | None:
        """Lock the user's row, and return the position key of that moment.

        None if there is no row, or if the caller's key is gone.
        """
        row = self._db.fetch_one(statements.lock(by_key=caller.by_key), {"user_id": self._user_id, **caller.values})
        return None if row is None else str(row[0])

    def below(self, task_id: str) -> list[Descendant]:
        """Return the descendants of a task."""
        rows = self._db.fetch_all(statements.below, {"user_id": self._user_id, "task_id": task_id})
        return [Descendant(str(id_), status, level) for id_, status, level in rows]

    def branch(
        self, wanted: Mapping[str, str | None], task: Node | None = None, below: Sequence[Descendant] = ()
    ) -> Branch:
        """Return what a new task, or this one, hangs on with the members that are wanted.

        Raise ValidationFailed or TooManySubtasks.
        """
        here = Branch() if task is None else task.branch
        parent_id = wanted.get("parent_id", here.parent_id)
        if parent_id is None:
            return Branch(wanted.get("project_id", here.project_id))
        line = self._db.fetch_all(statements.line, {"user_id": self._user_id, "parent_id": parent_id})
        if not line:
            raise _refused("parent_id", "unknown", "There is no such task in your space.")
        if task is not None and task.id in {str(id_) for id_, *_ in line}:
            raise _refused("parent_id", "cycle", "Must not be the task itself, or one below it.")
        if len(line) + max((each.level for each in below), default=0) >= DEEPEST:
            raise _refused("parent_id", "too_deep", f"Tasks can be at most {DEEPEST} deep.")
        _, project_id, children = line[0]
        branch = Branch(None if project_id is None else str(project_id), parent_id)
        if wanted.get("project_id", branch.project_id) != branch.project_id:
            raise _refused("project_id", "project_of_parent", "Must be the project of the parent.")
        if parent_id != here.parent_id and children >= MOST_CHILDREN:
            raise TooManySubtasks
        return branch

    def count(self, parent_id: str | None, step: int) -> None:
        """Write that a parent, if there is one, has more or fewer children."""
        if parent_id is not None:
            self._db.fetch_all(statements.count, {"user_id": self._user_id, "parent_id": parent_id, "step": step})

    def bring(self, below: Sequence[Descendant], project_id: str | None) -> None:
        """Write the project of tasks. The last number of the user is their version.

        Raise TooManyTasks.
        """
        self._write(statements.bring, [each.id for each in below], project_id=project_id)

    def complete(self, ids: Sequence[str]) -> None:
        """Complete open tasks, if there are any, under one number. Raise TooManyTasks."""
        if ids:
            self._write(statements.complete, ids)

    def remove(self, node: Node, *, permanent: bool) -> None:
        """Delete a task and all below it, under one number. A trigger counts it off its parent.

        Raise TooManyTasks.
        """
        ids = [node.id, *(each.id for each in self.below(node.id))]
        self._write(statements.remove(permanent=permanent), ids)

    def remove_all(self, ids: Sequence[str]) -> None:
        """Delete tasks that have nothing else below them, under one number."""
        self._write(statements.remove(permanent=False), ids)

    def place(self, task: Node, branch: Branch, destination: Destination, clock: str) -> Place | None:
        """Return where the task is to be in a branch, None if it is there.

        `clock` is what `lock` returned. Raise ValidationFailed.
        """
        named = self._named(task, branch)
        low, high = self._neighbours(named, branch, destination)
        here = (task.position, task.id)
        if branch == task.branch and (low is None or low < here) and (high is None or here < high):
            return None
        if high is None:
            # The clock may have been put back.
            return Place(clock if low is None or clock > low[0] else key_after(low[0]))
        key = key_before(high[0]) if low is None else key_between(low[0], high[0])
        return Place(key) if key is not None else self._renumbered(named, branch, low, high, clock)

    def renumber(self, place: Place) -> None:
        """Write the positions of the siblings. The last number of the user is their version."""
        arrays = {"ids": place.siblings, "positions": place.positions}
        self._db.fetch_all(statements.renumber, {"user_id": self._user_id, **arrays})

    def _neighbours(
        self, named: Mapping[str, str | None], branch: Branch, destination: Destination
    ) -> tuple[Neighbour | None, Neighbour | None]:
        """Return the siblings between which the task is to be, None at an end."""
        if destination.at == "first":
            return None, self._neighbour(named, branch, _LOWEST, up=True)
        if destination.at == "last":
            return self._neighbour(named, branch, _HIGHEST, up=False), None
        name = "after" if destination.before is None else "before"
        sibling_id = destination.before or destination.after
        row = self._db.fetch_one(statements.sibling(branch.kind), {**named, "sibling_id": sibling_id})
        if row is None:
            raise _refused(name, "not_a_sibling", "Must be a sibling of the task.")
        sibling = (str(row[0]), str(row[1]))
        if name == "before":
            return self._neighbour(named, branch, sibling, up=False), sibling
        return sibling, self._neighbour(named, branch, sibling, up=True)

    def _neighbour(
        self, named: Mapping[str, str | None], branch: Branch, bound: Neighbour, *, up: bool
    ) -> Neighbour | None:
        """Return the sibling nearest to a bound, other than the task."""
        return next(iter(self._near(named, branch, bound, up=up)), None)

    def _near(
        self, named: Mapping[str, str | None], branch: Branch, bound: Neighbour, *, up: bool, limit: int = 1
    ) -> list[Neighbour]:
        values = {**named, "position": bound[0], "sibling_id": bound[1]}
        rows = self._db.fetch_all(statements.near(branch.kind, up=up, limit=limit), values)
        return [(str(position), str(id_)) for position, id_ in rows]

    def _renumbered(
        self,
        named: Mapping[str, str | None],
        branch: Branch,
        low: Neighbour | None,
        high: Neighbour,
        clock: str,
    ) -> Place:
        """Return new positions for the task and the siblings near it: for more if there is no room.

        All of them may be too many for one statement.
        """
        count = NEAR
        while True:
            below = self._near(named, branch, high, up=False, limit=count + 1)
            above = self._near(named, branch, low or _LOWEST, up=True, limit=count + 1)
            siblings = [id_ for _, id_ in (*reversed(below[:count]), *above[:count])]
            ends = [rows[count][0] if len(rows) > count else None for rows in (below, above)]
            keys = _keys(ends[0], ends[1], len(siblings) + 1, clock)
            if keys is not None:
                return Place(keys.pop(min(len(below), count)), siblings, keys)
            count *= 8

    def _named(self, task: Node, branch: Branch) -> dict[str, str | None]:
        return {"user_id": self._user_id, "task_id": task.id, **branch._asdict()}

    def _write(self, statement: Statement, ids: Sequence[str], **values: object) -> None:
        """Write the tasks `ids`. Raise TooManyTasks."""
        if len(ids) > MOST_AT_ONCE:
            raise TooManyTasks
        self._db.fetch_all(statement.for_rows(len(ids)), {"user_id": self._user_id, "ids": ids, **values})


def _refused(name: str, code: str, detail: str) -> ValidationFailed:
    return ValidationFailed([Violation("body", f"/{name}", code, detail)])


def _keys(low: str | None, high: str | None, count: int, clock: str) -> list[str] | None:
    """Return as many keys between two positions. None if there is no room.

    A position that is None is an end.
    """
    if low is None:
        return evenly_spaced(count, clock if high is None else high)
    return keys_between(low, clock if high is None else high, count)
