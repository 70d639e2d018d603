"""Dates with or without a time and a zone, and their instants.

RFC 5545, section 3.3.5, says what a change of clocks does. A local time that comes twice is the
first of both. One that is left out is read with the offset before the change.
"""

import datetime as dt
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

_DAY = timedelta(days=1)

_NEAR = timedelta(days=2)
"""How far from an instant a change of clocks matters: the longest gap is a day."""

_GRAIN = timedelta(seconds=1)


class Moment(NamedTuple):
    """A date, or a date and time of day, or both with the name of a zone.

    Without a zone it is that date or time in the zone of the user.
    """

    date: dt.date
    time: dt.time | None = None
    time_zone: str | None = None


class Reached(NamedTuple):
    """Local times that have come: those to `until`, and those from `since` to `now`."""

    until: datetime
    since: datetime
    now: datetime


def start_of_day(day: dt.date, zone: str) -> datetime:
    """Return when the day begins in the zone, in UTC."""
    return _instant(day, dt.time(), zone)


def beginning(moment: Moment, zone: str) -> datetime:
    """Return the instant for a user in the zone. Without a time it is when the day begins."""
    return _instant(moment.date, moment.time or dt.time(), moment.time_zone or zone)


def deadline(moment: Moment, zone: str) -> datetime:
    """Return the instant for a user in the zone. Without a time it is when the day ends."""
    if moment.time is None:
        return start_of_day(moment.date + _DAY, zone)
    return beginning(moment, zone)


def is_after(first: Moment, second: Moment, zone: str) -> bool:
    """Return whether `first` is later: by instants if both have a time, else by dates."""
    if first.time is None or second.time is None:
        return first.date > second.date
    return beginning(first, zone) > beginning(second, zone)


def local_date(instant: datetime, zone: str) -> dt.date:
    """Return the date in the zone at an instant."""
    return instant.astimezone(ZoneInfo(zone)).date()


def reached(instant: datetime, zone: str) -> Reached:
    """Return the local times whose instants are at most `instant`, as `beginning` has them.

    In a gap, times that do not exist are read with the offset before it. So some of them come after
    times that stand later.
    """
    before, after = _offset(instant - _NEAR, zone), _offset(instant + _NEAR, zone)
    plain = instant.replace(tzinfo=None)
    if before == after:
        local = plain + before
        return Reached(local, local, local)
    change = _change(instant - _NEAR, instant + _NEAR, zone).replace(tzinfo=None)
    since = change + max(before, after)  # local times from here on have the offset after the change
    return Reached(min(plain + before, since - _GRAIN), since, plain + after)


def _instant(day: dt.date, at: dt.time, zone: str) -> datetime:
    return datetime.combine(day, at, ZoneInfo(zone)).astimezone(UTC)


def _change(low: datetime, high: datetime, zone: str) -> datetime:
    """Return the second at which the offset changes between two instants."""
    before = _offset(low, zone)
    while high - low > _GRAIN:
        middle = low + (high - low) / 2
        if _offset(middle, zone) == before:
            low = middle
        else:
            high = middle
    return high.replace(microsecond=0)


def _offset(instant: datetime, zone: str) -> timedelta:
    return instant.astimezone(ZoneInfo(zone)).utcoffset() or timedelta()
