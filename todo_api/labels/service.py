"""Labels of a user: list, rename and remove them."""

from collections.abc import Sequence
from typing import NamedTuple

from todo_api.database import RoleSession, RoleSessions, Row
from todo_api.errors import LabelExists, NotFound, TooManyTasks, ValidationFailed
from todo_api.etags import SpaceTag
from todo_api.guards import Caller, gone
from todo_api.labels import statements
from todo_api.models import MOST_AT_ONCE
from todo_api.task_labels import composed, key_of, violations

_MISSING = "There is no such label in your space."


class Label(NamedTuple):
    """A label in the spelling used first, and how many of its tasks are still to be done."""

    name: str
    open_tasks: int


class LabelList(NamedTuple):
    """The labels of a user by key. `seq` is the number of their last write in the epoch.

    There is no label if the client knows them.
    """

    epoch: int
    seq: int
    labels: list[Label]


class LabelChange(NamedTuple):
    """The version that the changed tasks have, and their number."""

    version: int
    tasks: int


class LabelService:
    """Labels of a user. A write locks the user's row first, so it sees every task as it is.

    A write raises Unauthorized if the caller's credential is gone; `list` does if the user must
    have a row and it is gone.
    """

    def __init__(self, database: RoleSessions, user_id: str, caller: Caller) -> None:
        self._caller = caller
        self._database = database
        self._db = database.as_user(user_id, caller.actor)
        self._user_id = user_id

    def list(self, known: Sequence[SpaceTag] = ()) -> LabelList:
        """Return every label. If `known` has the number of the last write, none is read."""
        rows = self._db.fetch_all(statements.list_, {"user_id": self._user_id, "known": [*map(str, known)]})
        if not rows:
            if self._caller.registered:
                raise gone()
            return LabelList(0, 0, [])
        return LabelList(rows[0][0], rows[0][1], [Label._make(row[2:]) for row in rows if row[2] is not None])

    def rename(self, label: str, name: str, *, merge: bool) -> LabelChange:
        """Give the label this name in every task. What has the name already is not written.

        Raise NotFound, LabelExists unless they are to `merge`, ValidationFailed or TooManyTasks.
        """
        found = [each._replace(pointer="/name") for each in violations([name], "")]
        if found:
            raise ValidationFailed(found)
        old, new = key_of(label), key_of(name)
        with self._database.transaction() as transaction:
            session = transaction.as_user(self._user_id, self._caller.actor)
            seq, known = self._lock(session, [old, new])
            if old not in known:
                raise NotFound(_MISSING)
            if new != old and new in known and not merge:
                raise LabelExists
            count = _checked(sum(known.values()))
            values = {"user_id": self._user_id, "old_key": old, "new_key": new, "name": composed(name)}
            return self._changed(session.fetch_one(statements.rename.for_rows(count), values), seq)

    def remove(self, label: str) -> LabelChange:
        """Take the label off every task. Raise NotFound or TooManyTasks."""
        key = key_of(label)
        with self._database.transaction() as transaction:
            session = transaction.as_user(self._user_id, self._caller.actor)
            seq, known = self._lock(session, [key])
            if key not in known:
                raise NotFound(_MISSING)
            count = _checked(known[key])
            values = {"user_id": self._user_id, "old_key": key}
            return self._changed(session.fetch_one(statements.remove.for_rows(count), values), seq)

    def _lock(self, session: RoleSession, keys: Sequence[str]) -> tuple[int, dict[str, int]]:
        """Lock the user's row; return their last number, and the labels of these that there are.

        Each has the number of its tasks, or one too many. Raise NotFound.
        """
        named = {"user_id": self._user_id, **self._caller.values}
        row = session.fetch_one(statements.lock(by_key=self._caller.by_key), named)
        if row is None:
            self._caller.check(session, self._user_id)
            raise NotFound(_MISSING)
        values = {"user_id": self._user_id, "keys": [*{*keys}], "most": MOST_AT_ONCE + 1}
        return int(row[0]), {str(key): int(count) for key, count in session.fetch_all(statements.known, values)}

    @staticmethod
    def _changed(row: Row | None, seq: int) -> LabelChange:
        return LabelChange(seq, 0) if row is None else LabelChange(*row)


def _checked(tasks: int) -> int:
    """Return the number of tasks to write. Raise TooManyTasks."""
    if tasks > MOST_AT_ONCE:
        raise TooManyTasks
    return tasks
