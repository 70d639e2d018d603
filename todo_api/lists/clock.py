"""The moment and the zone with which a list is filtered by dates, and what the filters compare."""

from datetime import UTC, date, datetime, timedelta
from enum import Enum
from time import time
from typing import Any, NamedTuple

from todo_api.local_time import VERSION, local_date, reached, start_of_day

_DAY = timedelta(days=1)

DAYS = {"today": (0, 0), "tomorrow": (1, 1), "week": (0, 6)}
"""First and last day of a filter, counted from today."""


class Grain(Enum):
    """How often a list changes by itself: each minute or each day, or never."""

    MINUTE = "minute"
    DAY = "day"
    NEVER = "never"


class Clock(NamedTuple):
    """The moment as of which a list is true, and the zone for its dates."""

    as_of: datetime
    zone: str

    @property
    def today(self) -> date:
        """Return the date."""
        return local_date(self.as_of, self.zone)


def now() -> datetime:
    """Return the time."""
    return datetime.fromtimestamp(time(), UTC)


def clock_at(moment: datetime, zone: str, grain: Grain) -> Clock:
    """Return the clock of a list at a moment. It stands still until the list may change."""
    if grain is Grain.DAY:
        return Clock(start_of_day(local_date(moment, zone), zone), zone)
    return Clock(moment.replace(second=0, microsecond=0), zone)


def stamp(clock: Clock, grain: Grain) -> str:
    """Return what the tag of a list has of its clock, eight digits or none, and of its zones.

    With other zone data a day begins at another instant, while nothing is written.
    """
    if grain is Grain.NEVER:
        return VERSION
    moment = f"{clock.today:%Y%m%d}" if grain is Grain.DAY else str(int(clock.as_of.timestamp()) // 60)
    return f"{moment} {VERSION}"


def instant_values(clock: Clock) -> dict[str, Any]:
    """Return the parameters of the conditions that compare with now."""
    local = reached(clock.as_of, clock.zone)
    return {
        "now": clock.as_of,
        "lately": clock.as_of - 2 * _DAY,
        "soon": clock.as_of + 2 * _DAY,
        "today": clock.today,
        "local_until": local.until,
        "local_since": local.since,
        "local_now": local.now,
    }


def day_values(first: date | None, last: date | None, zone: str) -> dict[str, Any]:
    """Return the parameters of the condition that a local date is between two, both included.

    Dates without a zone are compared as dates. Their instants, in any zone, are near.
    """
    begins = None if first is None else start_of_day(first, zone)
    ends = None if last is None else start_of_day(last + _DAY, zone)
    return {
        "first_day": first or "-infinity",
        "begins": begins or "-infinity",
        "earliest": begins - 2 * _DAY if begins else "-infinity",
        "last_day": last or "infinity",
        "ends": ends or "infinity",
        "latest": ends + 2 * _DAY if ends else "infinity",
    }
