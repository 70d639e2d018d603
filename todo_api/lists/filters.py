"""The filters and the sort of a list, as a client sends them. The module knows no SQL."""

from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from todo_api.lists.clock import DAYS, Clock, Grain, clock_at, day_values, instant_values, stamp
from todo_api.models import STATUSES

OPEN = ("pending", "in_progress")
"""Statuses of tasks that are still to be done."""


class DateFilter(NamedTuple):
    """Filters by dates. `zone` is None for that of the account."""

    due: str | None = None
    due_from: date | None = None
    due_to: date | None = None
    startable: bool | None = None
    zone: str | None = None

    @property
    def grain(self) -> Grain:
        """Return how often the list changes by itself."""
        if self.due == "overdue" or self.startable is not None:
            return Grain.MINUTE
        return Grain.DAY if self.due in DAYS else Grain.NEVER

    @property
    def needs_zone(self) -> bool:
        """Return whether the list differs by zone."""
        return self.grain is not Grain.NEVER or self.due_from is not None or self.due_to is not None

    @property
    def is_open(self) -> bool:
        """Return whether only tasks match that are still to be done."""
        return self.grain is Grain.MINUTE

    def clock(self, moment: datetime, zone: str) -> Clock:
        """Return the clock of the list."""
        return clock_at(moment, zone, self.grain)

    def stamp(self, clock: Clock) -> str:
        """Return what the list's tag has of the clock and of the zones."""
        return stamp(clock, self.grain)

    def conditions(self) -> tuple[str, ...]:
        """Return the names of the conditions."""
        if self.due in DAYS or self.due_from is not None or self.due_to is not None:
            named = ["due_on_days"]
        else:
            named = [] if self.due is None else [f"due_{self.due}"]
        if self.startable is not None:
            named.append("startable" if self.startable else "not_startable")
        return tuple(named)

    def values(self, clock: Clock) -> dict[str, Any]:
        """Return the parameters of the conditions."""
        values = instant_values(clock) if self.grain is Grain.MINUTE else {}
        if self.due in DAYS:
            first, last = (clock.today + timedelta(days=days) for days in DAYS[self.due])
            return values | day_values(first, last, clock.zone)
        return values | day_values(self.due_from, self.due_to, clock.zone)


class TaskFilter(NamedTuple):
    """Filters and sort of a list.

    `further` has the filters after 1.1 that are set, by the names of their conditions, and `dates`
    those by dates.
    """

    statuses: tuple[str, ...] | None = None
    completed: bool | None = None
    words: str | None = None
    sort: str = "-created_at"
    further: tuple[tuple[str, Any], ...] = ()
    dates: DateFilter | None = None

    @property
    def needs_zone(self) -> bool:
        """Return whether the list differs by zone."""
        return self.dates is not None and self.dates.needs_zone

    def matching(self) -> tuple[str, ...] | None:
        """Return the statuses that all filters allow, None for all."""
        is_open = self.dates is not None and self.dates.is_open
        if self.statuses is None and self.completed is None and not is_open:
            return None
        return tuple(
            status
            for status in (OPEN if is_open else STATUSES)
            if (self.statuses is None or status in self.statuses)
            and (self.completed is None or (status == "completed") == self.completed)
        )

    def conditions(self) -> tuple[str, ...]:
        """Return the names of the conditions besides the statuses, in one order."""
        names = tuple(name for name, _ in self.further)
        if self.dates is not None:
            names += self.dates.conditions()
        return ("words", *names) if self.words else names

    def values(self) -> dict[str, Any]:
        """Return the parameters of these conditions, but for those by dates."""
        values = dict(self.further)
        if self.words:
            values["words"] = [_escape(word) for word in self.words.split()]
        return values

    def scope(self) -> str:
        """Return what a cursor is bound to. A filter that is not set leaves older cursors valid."""
        known = f"statuses={self.statuses!r}, completed={self.completed!r}, words={self.words!r}, sort={self.sort!r}"
        later = {**dict(self.further), **({} if self.dates is None else self.dates._asdict())}
        return f"TaskFilter({known})" + "".join(
            f", {name}={later[name]!r}" for name in later if later[name] is not None
        )


def _escape(word: str) -> str:
    """Return the word with the wildcards of LIKE escaped."""
    return word.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")
