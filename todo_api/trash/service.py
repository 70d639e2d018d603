"""The trash of a user."""

from todo_api.database import Database
from todo_api.trash import statements


def purge(database: Database, days: int) -> int:
    """Delete what is in the trash for more days, a thousand rows at most, and return how many.

    Return zero if another process is purging. Raise Unavailable.
    """
    ((count,),) = database.as_trash_purge(days).fetch_all(statements.PURGE, {"days": days})
    return int(count)
