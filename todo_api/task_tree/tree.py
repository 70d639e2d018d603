"""The rules of where tasks stand. Each method reads or writes in a transaction with the lock."""

from collections.abc import Sequence
from typing import NamedTuple

from todo_api.database import RoleSession
from todo_api.errors import ValidationFailed, Violation
from todo_api.guards import Caller
from todo_api.ordering import evenly_spaced, key_after, key_before, key_between
from todo_api.task_tree import statements

Neighbour = tuple[str, str]
"""Position and id of a task, which siblings are sorted by."""

_LOWEST = ("", "00000000-0000-0000-0000-000000000000")
_HIGHEST = ("n", "ffffffff-ffff-ffff-ffff-ffffffffffff")
"""Below and above every task: a position begins with m."""


class Destination(NamedTuple):
    """Where to move a task: before or after a sibling, or `at` the end `first` or `last`."""

    before: str | None = None
    after: str | None = None
    at: str | None = None


class Node(NamedTuple):
    """A task as the tree sees it: its siblings are the tasks of its project."""

    id: str
    position: str
    project_id: str | None


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

    def place(self, task: Node, destination: Destination, clock: str) -> Place | None:
        """Return where the task is to be, None if it is there.

        `clock` is what `lock` returned. Raise ValidationFailed.
        """
        low, high = self._neighbours(task, destination)
        here = (task.position, task.id)
        if (low is None or low < here) and (high is None or here < high):
            return None
        if high is None:
            # The clock may have been put back.
            return Place(clock if low is None or clock > low[0] else key_after(low[0]))
        key = key_before(high[0]) if low is None else key_between(low[0], high[0])
        return Place(key) if key is not None else self._renumbered(task, low, clock)

    def renumber(self, place: Place) -> None:
        """Write the positions of the siblings. The last number of the user is their version."""
        arrays = {"ids": place.siblings, "positions": place.positions}
        self._db.fetch_all(statements.renumber, {"user_id": self._user_id, **arrays})

    def _neighbours(self, task: Node, destination: Destination) -> tuple[Neighbour | None, Neighbour | None]:
        """Return the siblings between which the task is to be, None at an end."""
        if destination.at == "first":
            return None, self._next(task, _LOWEST)
        if destination.at == "last":
            return self._previous(task, _HIGHEST), None
        name = "after" if destination.before is None else "before"
        named = self._named(task) | {"sibling_id": destination.before or destination.after}
        row = self._db.fetch_one(statements.sibling(in_project=task.project_id is not None), named)
        if row is None:
            raise ValidationFailed([Violation("body", f"/{name}", "not_a_sibling", "Must be a sibling of the task.")])
        sibling = (str(row[0]), str(row[1]))
        if name == "before":
            return self._previous(task, sibling), sibling
        return sibling, self._next(task, sibling)

    def _previous(self, task: Node, bound: Neighbour) -> Neighbour | None:
        return self._neighbour(task, bound, up=False)

    def _next(self, task: Node, bound: Neighbour) -> Neighbour | None:
        return self._neighbour(task, bound, up=True)

    def _neighbour(self, task: Node, bound: Neighbour, *, up: bool) -> Neighbour | None:
        """Return the sibling nearest to a bound, other than the task."""
        named = self._named(task) | {"position": bound[0], "sibling_id": bound[1]}
        row = self._db.fetch_one(statements.neighbour(up=up, in_project=task.project_id is not None), named)
        return None if row is None else (str(row[0]), str(row[1]))

    def _renumbered(self, task: Node, low: Neighbour | None, clock: str) -> Place:
        """Return new positions for the task and all its siblings."""
        rows = self._db.fetch_all(statements.siblings(in_project=task.project_id is not None), self._named(task))
        siblings = [str(row[1]) for row in rows]
        place = 0 if low is None else siblings.index(low[1]) + 1
        keys = evenly_spaced(len(siblings) + 1, clock)
        return Place(keys.pop(place), siblings, keys)

    def _named(self, task: Node) -> dict[str, str | None]:
        return {"user_id": self._user_id, "task_id": task.id, "project_id": task.project_id}
