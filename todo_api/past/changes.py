"""Rows of history, and what they say of the past."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import orjson

from todo_api.database import RoleSession, Row
from todo_api.errors import Conflict, PreconditionFailed, ValidationFailed, Violation
from todo_api.past import statements
from todo_api.task_rows import Task

CUT = {"description": 2048, "links": 2}
"""Length to which a value above 8 KiB is cut: characters of a description, number of links."""

_NO_ID = "00000000-0000-0000-0000-000000000000"


class Change(NamedTuple):
    """A row of history: what the write `seq` did to an object that had `version_before`.

    `members` has the values before and after by the contract's names.
    """

    seq: int
    kind: str
    id: str
    action: str
    version_before: int
    members: dict[str, list[Any]]
    is_cut: bool

    @classmethod
    def of(cls, row: Row) -> "Change":
        """Return the change that a row is."""
        seq, kind, id_, action, version_before, members, is_cut = row
        return cls(seq, kind, str(id_), action, version_before, orjson.loads(members), is_cut)

    def is_whole(self, member: str, value: Any) -> bool:
        """Return whether a value of the row is the member's in full."""
        return not self.is_cut or value is None or len(value) != CUT.get(member)


class Past:
    """The history of a user's objects, seen by a transaction that has locked the user's row."""

    def __init__(self, session: RoleSession, user_id: str) -> None:
        self._db = session
        self._user_id = user_id

    def since(self, kind: str, object_id: str, version: int) -> list[Change]:
        """Return the changes of an object after a version, the first one first."""
        values = {"user_id": self._user_id, "kind": kind, "object_id": object_id, "seq": version}
        return [Change.of(row) for row in self._db.fetch_all(statements.since, values)]

    def of_objects(self, ids: Sequence[str], version: int) -> list[Change]:
        """Return the changes of several objects after a version."""
        values = {"user_id": self._user_id, "ids": ids, "seq": version}
        return [Change.of(row) for row in self._db.fetch_all(statements.of_objects, values)]

    def check_base(self, task: Task, base: int, members: Sequence[str]) -> None:
        """Raise Conflict if one of these members of a task was changed after the version `base`.

        Raise PreconditionFailed if the changes since are not all kept, or ValidationFailed for a
        version that is still to come.
        """
        if base > task.version:
            detail = f"Must be at most {task.version}, the version of the task."
            raise ValidationFailed([Violation("query", "/base", "too_large", detail)])
        changes = self.since("task", task.id, base)
        if not is_kept(base, changes, task.version):
            raise PreconditionFailed(task, "The history of the task since that version is not kept.")
        changed = {name for change in changes for name in change.members}
        fields = [f"/{name}" for name in members if name in changed]
        if fields:
            raise Conflict(task, fields)

    def of_write(self, seq: int) -> Iterator[list[Change]]:
        """Yield what the write of this number changed in pages: first projects, then tasks.

        What it only deleted, or brought back as it was, is left out.
        """
        values = {"user_id": self._user_id, "seq": seq, "kind": "", "object_id": _NO_ID}
        while page := [Change.of(row) for row in self._db.fetch_all(statements.of_write, values)]:
            yield page
            values |= {"kind": page[-1].kind, "object_id": page[-1].id}


def is_kept(version: int, changes: Sequence[Change], present: int) -> bool:
    """Return whether the changes since a version are all that there were.

    They are not if the object is younger than the version, or if the first have been purged.
    `present` is the object's version.
    """
    return (changes[0].version_before if changes else present) <= version
