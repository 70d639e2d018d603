"""What has expired, deleted by the thousand, for all users at once and by one process at a time."""

from sqlalchemy import ColumnElement, Integer, Table, cast, delete, func, literal_column, select

from todo_api.database.statement import Statement

AT_ONCE = 1000
"""Rows that a purge deletes in one statement."""

LOCK = 0x7461736B70757267
"""The advisory lock of whoever is at it."""


def purge(table: Table, expired: ColumnElement[bool]) -> Statement:
    """Deletes some of the rows that have expired, unless another process is at it. One row: how many."""
    turn = select(func.pg_try_advisory_xact_lock(literal_column(str(LOCK))).label("mine")).cte("turn")
    names = [column.name for column in table.primary_key]
    found = select(*(table.c[name] for name in names)).where(turn.c.mine, expired).limit(AT_ONCE)
    # PostgreSQL, which expects few, would else look for them anew for each that it deletes.
    old = found.cte("old").prefix_with("MATERIALIZED")
    these = (table.c[name] == old.c[name] for name in names)
    gone = delete(table).where(*these).returning(literal_column("1").label("one")).cte("gone")
    return Statement(select(cast(func.count(), Integer)).select_from(gone))
