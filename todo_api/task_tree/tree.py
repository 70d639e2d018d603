"""The rules of where tasks stand. Each method reads or writes in a transaction with the lock."""

from collections.abc import Sequence
from typing import NamedTuple

from todo_api.database import RoleSession
from todo_api.errors import ValidationFailed, Violation
from todo_api.guards import Caller
from todo_api.ordering import evenly_spaced, key_after, key_before, key_between, keys_between
from todo_api.task_tree import statements

Neighbour = tuple[str, str]
"""Position and id of a task, which siblings are sorted by."""

_LOWEST = ("", "00000000-0000-0000-0000-000000000000")
_HIGHEST = ("n", "ffffffff-ffff-ffff-ffff-ffffffffffff")
"""Below and above every task: a position begins with m."""


NEAR = 500
"""How many siblings on each side get new positions if there is no room between two."""


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
        return Place(key) if key is not None else self._renumbered(task, low, high, clock)

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
        return next(iter(self._near(task, bound, up=up)), None)

    def _near(self, task: Node, bound: Neighbour, *, up: bool, limit: int = 1) -> list[Neighbour]:
        named = self._named(task) | {"position": bound[0], "sibling_id": bound[1]}
        rows = self._db.fetch_all(statements.near(up=up, in_project=task.project_id is not None, limit=limit), named)
        return [(str(position), str(id_)) for position, id_ in rows]

    def _renumbered(self, task: Node, low: Neighbour | None, high: Neighbour, clock: str) -> Place:
        """Return new positions for the task and the siblings near it: for more if there is no room.

        All of them may be too many for one statement.
        """
        count = NEAR
        while True:
            below = self._near(task, high, up=False, limit=count + 1)
            above = self._near(task, low or _LOWEST, up=True, limit=count + 1)
            siblings = [id_ for _, id_ in (*reversed(below[:count]), *above[:count])]
            ends = [rows[count][0] if len(rows) > count else None for rows in (below, above)]
            keys = _keys(ends[0], ends[1], len(siblings) + 1, clock)
            if keys is not None:
                return Place(keys.pop(min(len(below), count)), siblings, keys)
            count *= 8

    def _named(self, task: Node) -> dict[str, str | None]:
        return {"user_id": self._user_id, "task_id": task.id, "project_id": task.project_id}


def _keys(low: str | None, high: str | None, count: int, clock: str) -> list[str] | None:
    """Return as many keys between two positions. None if there is no room.

    A position that is None is an end.
    """
    if low is None:
        return evenly_spaced(count, clock if high is None else high)
    return keys_between(low, clock if high is None else high, count)
