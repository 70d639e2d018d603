"""Local dates and times, and the instants that they mean. No other package converts them.

Zones are those of the `tzdata` package, on every machine: the files of the operating system are
not read, and PostgreSQL converts no stored local time, since it judges folds otherwise.
"""

from todo_api.local_time.moments import (
    Moment,
    Reached,
    beginning,
    deadline,
    is_after,
    local_date,
    reached,
    start_of_day,
)
from todo_api.local_time.zones import DEFAULT_ZONE, RELEASE, VERSION, is_zone

__all__ = [
    "DEFAULT_ZONE",
    "RELEASE",
    "VERSION",
    "Moment",
    "Reached",
    "beginning",
    "deadline",
    "is_after",
    "is_zone",
    "local_date",
    "reached",
    "start_of_day",
]
