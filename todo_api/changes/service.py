"""The feed of a user: what has changed since a client last asked."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from todo_api.changes import statements, tokens
from todo_api.changes.tokens import AFTER_ALL, BEGINNING, HIGHEST, NIL, RANKS, Position, Token
from todo_api.changes.waits import Waiter
from todo_api.database import Database, RoleSessions, Row
from todo_api.errors import ResyncRequired
from todo_api.etags import SpaceTag
from todo_api.guards import Caller, gone
from todo_api.lists import CursorSigner
from todo_api.projects import Project
from todo_api.task_rows import Task

_NEVER = (2**63 - 1, HIGHEST)
_TASK = len(Task._fields) - 1


class Change(NamedTuple):
    """A task or project as it is now, or None if it is deleted."""

    kind: str
    position: Position
    item: Task | Project | None


class ChangePage(NamedTuple):
    """A page of the feed before it is cut to a size.

    `seq` is the number of the user's last write in this epoch. `changes` is None if the client
    knows them. `start` is that of the token that goes on with the walk, None if there is no walk.
    """

    epoch: int
    seq: int
    changes: list[Change] | None
    has_more: bool
    start: int | None

    @property
    def is_full(self) -> bool:
        """Return whether the page is one of a walk from nothing."""
        return self.start is not None


class ChangeService:
    """The feed of a user. It raises Unauthorized if the user must have a row and it is gone."""

    def __init__(self, database: RoleSessions, user_id: str, caller: Caller) -> None:
        self._caller = caller
        self._db = database.as_user(user_id)
        self._user_id = user_id

    def page(self, since: str | None, limit: int, signer: CursorSigner, known: Sequence[SpaceTag] = ()) -> ChangePage:
        """Return what has changed since the token, or without one everything.

        If `known` has the number of the last write, nothing is read. Raise InvalidCursor if the
        token is another user's, ResyncRequired if nothing can be said of the time since.
        """
        token = None if since is None else tokens.read(since, self._user_id, signer)
        if token is not None and not token.epoch:  # the user had nothing, not even a row
            token = None
        values = {"user_id": self._user_id, "limit": limit + 1, "known": [*map(str, known)], **_bounds(token)}
        rows = self._db.fetch_all(statements.page, values)
        if not rows and self._caller.registered:
            raise gone()
        epoch, seq, horizon = map(int, rows[0][-1].split()) if rows else (0, 0, 0)
        if token is not None and (token.epoch != epoch or token.is_outlived(horizon)):
            raise ResyncRequired
        start = seq if token is None else token.start
        if (epoch, seq) in known:
            return ChangePage(epoch, seq, None, False, start)
        changes = [_change(row, self._user_id) for row in rows[:limit] if row[0] is not None]
        return ChangePage(epoch, seq, changes, len(rows) > limit, start)

    def awaited(self, since: str | None, limit: int, signer: CursorSigner, waiter: Waiter) -> ChangePage:
        """Return what has changed since the token, as `page` does, once there is something.

        Without anything it is an empty page, when the time of the waiter is over.
        """
        token = None if since is None else tokens.read(since, self._user_id, signer)
        while True:
            waiter.begin()
            page = self._unchanged(token) or self.page(since, limit, signer)
            if page.changes or not waiter.sleep(page.seq):
                return page
            self._caller.check(self._db, self._user_id)  # a key may be revoked meanwhile

    def _unchanged(self, token: Token | None) -> ChangePage | None:
        """Return the empty page if the token is that of the user's last write, else None.

        Most who wait have such a token, and a page takes several times the work.
        """
        if token is None or token.position.rank != AFTER_ALL:
            return None
        last = (token.epoch, token.position.version)
        row = self._db.fetch_one(statements.last, {"user_id": self._user_id})
        return ChangePage(*last, [], False, token.start) if row == last else None

    def next(self, page: ChangePage, last: Change | None, signer: CursorSigner) -> str:
        """Return the token that goes on after the `last` change, or without one after them all."""
        if last is None:
            token = Token(page.epoch, None, Position(page.seq, AFTER_ALL, NIL))
        else:
            token = Token(page.epoch, page.start, last.position)
        return tokens.write(token, self._user_id, signer)


def purge(database: Database) -> int:
    """Delete old tombstones, a thousand at most, and return their number.

    Return zero if another process is purging. Raise Unavailable.
    """
    ((count,),) = database.as_purge().fetch_all(statements.PURGE, {})
    return int(count)


def _bounds(token: Token | None) -> dict[str, int | str]:
    """Return the version and the id after which the objects of each rank begin."""
    bounds: dict[str, int | str] = {}
    version, of_position, id_ = BEGINNING if token is None else token.position
    # Who walks from nothing does not have what was deleted before.
    deleted_since = _NEVER if token is None else (token.start or 0, HIGHEST)
    for kind, rank in RANKS.items():
        bound = (version if of_position >= rank else version - 1, id_ if of_position == rank else HIGHEST)
        if kind.startswith("deleted"):
            bound = max(bound, deleted_since)
        bounds |= {f"version_{rank}": bound[0], f"id_{rank}": bound[1]}
    return bounds


_KINDS = tuple(RANKS)


def _change(row: Row, user_id: str) -> Change:
    kind = _KINDS[row[0]]
    task = Task.of(row[1 : 1 + _TASK], user_id)
    item: Task | Project | None = None
    if kind == "task":
        item = task
    elif kind == "project":
        name, color, _ = row[1 + _TASK :]
        created_at, updated_at = map(datetime.fromisoformat, (task.created_at, task.updated_at))
        item = Project(task.id, name, task.description, color, task.position, created_at, updated_at, task.version)
    return Change(kind.removeprefix("deleted "), Position(task.version, row[0], task.id), item)
