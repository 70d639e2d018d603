"""Dates with or without a time and a zone, and their instants.

RFC 5545, section 3.3.5, says what a change of clocks does. A local time that comes twice is the
first of both. One that is left out is read with the offset before the change.
"""

import datetime as dt
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

_DAY = timedelta(days=1)


class Moment(NamedTuple):
    """A date, or a date and time of day, or both with the name of a zone.

    Without a zone it is that date or time in the zone of the user.
    """

    date: dt.date
    time: dt.time | None = None
    time_zone: str | None = None


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


def _instant(day: dt.date, at: dt.time, zone: str) -> datetime:
    return datetime.combine(day, at, ZoneInfo(zone)).astimezone(UTC)
