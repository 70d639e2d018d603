"""Locks in the database: who waits for one."""

from sqlalchemy.engine import make_url

from tests.support.processes import soon
from tests.support.rows import rows


def waiting(url: str) -> list[int]:
    """The sessions of the database that wait for a lock."""
    name = make_url(url).database
    found = rows(
        url, f"SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = '{name}' ORDER BY pid"
    )
    return [pid for (pid,) in found]


def somebody_waits(url: str) -> bool:
    """Wait until a session waits for a lock. Return False if none does in time."""
    return soon(lambda: bool(waiting(url)))
