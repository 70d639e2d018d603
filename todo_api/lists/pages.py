"""Pages of lists: which one is asked for, what it has, and where the next one begins."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Generic, NamedTuple, TypeVar
from uuid import UUID

from todo_api.database import Row
from todo_api.etags import SpaceTag
from todo_api.lists.clock import Clock, Grain
from todo_api.lists.cursors import CursorSigner, DueKey, Key, Position
from todo_api.lists.filters import TaskFilter
from todo_api.lists.sorts import SORTS

MAX_PAGE = 2 * 1024 * 1024
"""Maximum size of a page in bytes of JSON."""

Task = TypeVar("Task")

Known = Callable[[str], Sequence[SpaceTag]]
"""Returns the tags of a list that the client has, by the stamp of the list."""

_SORT_KEYS: dict[str, tuple[str, type[Key]]] = {
    "created_at": ("created_at", datetime),
    "updated_at": ("updated_at", datetime),
    "title": ("title", str),
    "position": ("position", str),
    "priority": ("priority_rank", int),
    "due": ("priority_rank", DueKey),
}
"""The attribute of a task that a list is sorted by, and the type of its key in cursors."""


class Place(NamedTuple):
    """Which page of a list: at most `limit` tasks, after `cursor` or after leaving out `skip`."""

    limit: int
    skip: int = 0
    cursor: str | None = None


class TaskPage(NamedTuple, Generic[Task]):
    """A page of a list before it is cut to a size.

    `seq` is the number of the user's last write in this epoch. `tasks` is None if the client knows
    them. `clock` is that of filters by dates, `due_ats` has the deadlines of a list by them.
    """

    epoch: int
    seq: int
    tasks: list[Task] | None
    total: int
    has_more: bool
    clock: Clock | None = None
    stamp: str = ""
    grain: Grain = Grain.NEVER
    due_ats: Sequence[str | None] = ()

    @property
    def as_of(self) -> datetime | None:
        """Return the moment as of which the list is true, None if it changes only by writes."""
        return self.clock.as_of if self.clock is not None and self.grain is not Grain.NEVER else None

    @property
    def time_zone(self) -> str | None:
        """Return the zone of the filters by dates."""
        return None if self.clock is None else self.clock.zone


class Asked(NamedTuple):
    """A list as a user asked for it, with the clock of its filters by dates."""

    user_id: str
    wanted: TaskFilter
    place: Place
    clock: Clock | None = None
    in_zone: bool = False

    @property
    def stamp(self) -> str:
        """Return what the tag of the list has of the clock and of the zones."""
        dates = self.wanted.dates
        return "" if self.clock is None or dates is None else dates.stamp(self.clock)

    def parameters(self, position: Position | None, known: Known) -> dict[str, Any]:
        """Return the parameters of the statement."""
        tags = [*map(str, known(self.stamp))]
        parameters = {"user_id": self.user_id, "limit": self.place.limit + 1, "skip": self.place.skip, "known": tags}
        if self.wanted.conditions():
            parameters |= self.wanted.values()
        if self.clock is not None and self.wanted.dates is not None:
            parameters |= {"zone": self.clock.zone, **self.wanted.dates.values(self.clock)}
        if position is not None:
            parameters |= SORTS[self.wanted.sort].values(position.key, position.task_id)
        return parameters

    def page(self, rows: Sequence[Row], known: Known, make: Callable[[Row], Task]) -> TaskPage[Task]:
        """Return the page that the rows are. `make` makes a task of one with the user's id."""
        state = rows[0][-1].split() if rows else ("0", "0", "0")
        epoch, seq, stamp = int(state[0]), int(state[1]), self.stamp
        grain = Grain.NEVER if self.wanted.dates is None else self.wanted.dates.grain
        if (epoch, seq) in known(stamp):
            return TaskPage(epoch, seq, None, 0, False, self.clock, stamp, grain)
        is_by_due = self.wanted.sort.endswith("due")
        end = -2 if is_by_due else -1
        limit = self.place.limit
        mine = (self.user_id,)
        tasks = [make(row[:end] + mine) for row in rows[:limit] if row[0] is not None]
        due_ats = [row[-2] for row in rows[:limit]] if is_by_due else ()
        return TaskPage(epoch, seq, tasks, int(state[-1]), len(rows) > limit, self.clock, stamp, grain, due_ats)

    def is_in_zone(self, rows: Sequence[Row]) -> bool:
        """Return whether the user is in the zone of the clock, or has no row."""
        return not rows or self.clock is None or zone_of(rows) == self.clock.zone


def zone_of(rows: Sequence[Row]) -> str:
    """Return the user's zone, from rows that were read `in_zone`."""
    return str(rows[0][-1].split()[2])


def scope_of(user_id: str, wanted: TaskFilter) -> str:
    """Return what a cursor is bound to."""
    return f"({user_id!r}, {wanted.scope()})"


def read_cursor(user_id: str, wanted: TaskFilter, cursor: str | None, signer: CursorSigner) -> Position | None:
    """Return what the cursor has, if there is one. Raise InvalidCursor."""
    if cursor is None:
        return None
    _, kind = _SORT_KEYS[wanted.sort.removeprefix("-")]
    return signer.read(cursor, scope_of(user_id, wanted), kind, has_clock=wanted.needs_zone)


def cursor_after(user_id: str, page: TaskPage[Any], number: int, wanted: TaskFilter, signer: CursorSigner) -> str:
    """Return the cursor that continues the list after that task of the page."""
    task = (page.tasks or [])[number]
    attribute, kind = _SORT_KEYS[wanted.sort.removeprefix("-")]
    key = getattr(task, attribute)
    if kind is datetime:
        key = datetime.fromisoformat(key)
    elif kind is DueKey:
        due_at = page.due_ats[number]
        key = DueKey(None if due_at is None else datetime.fromisoformat(due_at), key)
    return signer.sign(page.epoch, key, UUID(task.id), scope_of(user_id, wanted), page.clock)
