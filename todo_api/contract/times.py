"""Dates and date-times of RFC 3339, section 5.6."""

import re
from datetime import UTC, date, datetime, timedelta, timezone

_DATE_TIME = re.compile(
    r"(?P<year>[0-9]{4})-(?P<month>[0-9]{2})-(?P<day>[0-9]{2})[Tt]"
    r"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})(?:\.(?P<fraction>[0-9]+))?"
    r"(?:[Zz]|(?P<sign>[+-])(?P<offset_hour>[01][0-9]|2[0-3]):(?P<offset_minute>[0-5][0-9]))"
)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_LEAP_SECOND = 60


def parse_date_time(text: str) -> datetime:
    """Return the time in UTC. Raise ValueError if the text is no RFC 3339 date-time.

    Digits beyond the microsecond are cut off. A leap second is the following instant, as in POSIX.
    Times outside the years 1 to 9999 in UTC are refused, since `datetime` cannot represent them.
    """
    found = _DATE_TIME.fullmatch(text)
    if found is None:
        raise ValueError("not an RFC 3339 date-time")
    year, month, day, hour, minute, second = map(int, found.group("year", "month", "day", "hour", "minute", "second"))
    microsecond = int((found["fraction"] or "").ljust(6, "0")[:6])
    is_leap = second == _LEAP_SECOND
    zone = _zone(found)
    try:
        local = datetime(year, month, day, hour, minute, second - is_leap, microsecond, tzinfo=zone)
        time = (local + timedelta(seconds=is_leap)).astimezone(UTC)
    except OverflowError as error:
        raise ValueError("outside of the years 1 to 9999 in UTC") from error
    # The instant after a leap second begins a month in UTC.
    if is_leap and (time.day, time.hour, time.minute, time.second) != (1, 0, 0, 0):
        raise ValueError("no leap second: those are the last of a month in UTC")
    return time


def is_date_time(text: str) -> bool:
    """Return whether the text is an RFC 3339 date-time."""
    try:
        parse_date_time(text)
    except ValueError:
        return False
    return True


def _zone(found: re.Match[str]) -> timezone:
    """Return the offset from UTC. `-00:00` is UTC with unknown local time (section 4.3)."""
    if found["sign"] is None:
        return UTC
    offset = timedelta(hours=int(found["offset_hour"]), minutes=int(found["offset_minute"]))
    return timezone(-offset if found["sign"] == "-" else offset)


def is_date(text: str) -> bool:
    """Return whether the text is a full-date of RFC 3339, and exists in the calendar."""
    try:
        return _DATE.fullmatch(text) is not None and date.fromisoformat(text) is not None
    except ValueError:
        return False
