"""The history of a user, read page by page."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from todo_api.database import Database, RoleSessions, Row, Statement
from todo_api.errors import NotFound
from todo_api.etags import SpaceTag
from todo_api.guards import Caller, gone
from todo_api.history import entries, statements
from todo_api.history.entries import Entry, Place
from todo_api.lists import CursorSigner

_BATCH = 100
"""Number of entries that are read at a time for an export: at most 5 MB."""

_NEVER = "-infinity"
_ALWAYS = "infinity"
_NO_SEQ = 2**63 - 1

Cursor = tuple[str, CursorSigner] | None
"""The cursor of a page with who has signed it, None for the first page."""


class HistoryPage(NamedTuple):
    """A page of the history before it is cut to a size.

    `entries` is None if the client knows them.
    """

    epoch: int
    seq: int
    entries: list[Entry] | None
    has_more: bool


class HistoryFilter(NamedTuple):
    """Which entries are wanted: at `since` or later, before `until`, by a credential, of an action.

    The times are texts that PostgreSQL reads.
    """

    since: str | None = None
    until: str | None = None
    actor_id: str | None = None
    action: str | None = None


class HistoryService:
    """The history of a user. It raises Unauthorized if the user must have a row and it is gone."""

    def __init__(self, database: RoleSessions, user_id: str, caller: Caller) -> None:
        self._caller = caller
        self._db = database.as_user(user_id)
        self._user_id = user_id

    def of_task(self, task_id: str, limit: int, cursor: Cursor, known: Sequence[SpaceTag] = ()) -> HistoryPage:
        """Return the newest entries of a task, which may be deleted.

        If `known` has the number of the user's last write, no entry is read. Raise InvalidCursor,
        and NotFound if there is no such task and no entry of one.
        """
        place = self._place(cursor, task_id)
        rows = self._rows(statements.of_task, limit, known, task_id=task_id, before_seq=place.seq if place else _NO_SEQ)
        if not rows or not rows[0][2]:
            raise NotFound
        return _page(rows, limit, known)

    def of_all(self, wanted: HistoryFilter, limit: int, cursor: Cursor, known: Sequence[SpaceTag] = ()) -> HistoryPage:
        """Return the newest entries that match, of all tasks and projects. Raise InvalidCursor."""
        place = self._place(cursor, wanted) or entries.before(wanted.until or _ALWAYS)
        actors = wanted.actor_id and [f"{kind} {wanted.actor_id}" for kind in ("token", "api_key")]
        asked = {"since": wanted.since or _NEVER, "actors": actors, "action": wanted.action}
        rows = self._rows(statements.of_all, limit, known, **asked, **_before(place))
        return _page(rows, limit, known) if rows else HistoryPage(0, 0, [], False)

    def cursor(self, last: Entry, wanted: HistoryFilter | str, signer: CursorSigner) -> str:
        """Return the cursor of the page after this entry, of a task's id or a filter."""
        return entries.write(last.place, self._scope(wanted), signer)

    def all(self) -> Iterator[Entry]:
        """Yield every entry, the oldest first. They are read in batches."""
        place = entries.before(_NEVER)
        values: dict[str, Any] = {"user_id": self._user_id, "limit": _BATCH}
        while rows := self._db.fetch_all(statements.batch, values | _before(place)):
            for row in rows:
                entry = Entry._make(row)
                yield entry
            place = entry.place

    def _rows(self, statement: Statement, limit: int, known: Sequence[SpaceTag], **values: Any) -> list[Row]:
        rows = self._db.fetch_all(
            statement, {"user_id": self._user_id, "limit": limit + 1, "known": [*map(str, known)], **values}
        )
        if not rows and self._caller.registered:
            raise gone()
        return rows

    def _place(self, cursor: Cursor, wanted: HistoryFilter | str) -> Place | None:
        return None if cursor is None else entries.read(cursor[0], self._scope(wanted), cursor[1])

    def _scope(self, wanted: HistoryFilter | str) -> str:
        return f"history of {self._user_id!r}: {wanted!r}"


def purge(database: Database, days: int) -> int:
    """Delete entries older than so many days, a thousand at most, and return their number.

    Return zero if another process is purging. Raise Unavailable.
    """
    ((count,),) = database.as_history_purge(days).fetch_all(statements.PURGE, {"days": days})
    return int(count)


def _before(place: Place) -> dict[str, Any]:
    return {f"before_{name}": value for name, value in place._asdict().items()}


def _page(rows: list[Row], limit: int, known: Sequence[SpaceTag]) -> HistoryPage:
    epoch, seq, _, *_ = rows[0]
    if (epoch, seq) in known:
        return HistoryPage(epoch, seq, None, False)
    found = [Entry._make(row[3:]) for row in rows[:limit] if row[3] is not None]
    return HistoryPage(epoch, seq, found, len(rows) > limit)
