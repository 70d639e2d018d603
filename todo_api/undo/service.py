"""Undo for a user: a task as it was at a version."""

from collections.abc import Sequence
from typing import NamedTuple

from todo_api.database import RoleSession, RoleSessions
from todo_api.errors import (
    Conflict,
    NotFound,
    OpenSubtasks,
    PreconditionFailed,
    ValidationFailed,
    VersionNotKept,
)
from todo_api.guards import Caller
from todo_api.lists import OPEN
from todo_api.local_time import DEFAULT_ZONE
from todo_api.past import Past, is_kept
from todo_api.task_tree import TaskTree
from todo_api.tasks import Task, TaskService
from todo_api.undo import statements
from todo_api.undo.reversion import Outcome, Reversion
from todo_api.undo.walking import BRANCH, Members, before, differing, members_of, pointers
from todo_api.undo.writing import Back, Writing

_CANNOT_BE = "What these members were cannot be: what they name is gone, or other rules forbid it."


class _Locked(NamedTuple):
    """State read under the lock of the user's row: the last number and the zone of the user."""

    session: RoleSession
    tasks: TaskService
    seq: int
    zone: str


class UndoService:
    """Undo of a user. A write locks the user's row, looks, and writes.

    A write raises Unauthorized if the caller's credential is gone.
    """

    def __init__(self, database: RoleSessions, user_id: str, caller: Caller) -> None:
        self._caller = caller
        self._database = database
        self._user_id = user_id

    def revert_task(self, task_id: str, version: int, versions: Sequence[int] | None) -> Task:
        """Return the task as it was at a version, unwritten if it is so.

        Raise NotFound, PreconditionFailed, VersionNotKept, Conflict for members that cannot be what
        they were, OpenSubtasks, TooManyLabels or TooManySubtasks.
        """
        with self._database.transaction() as transaction:
            locked = self._lock(transaction)
            task = locked.tasks.get(task_id)
            if versions is not None and task.version not in versions:
                raise PreconditionFailed(task)
            members = self._members_at(version, task, locked.session)
            back = Back(task, differing(members, members_of(task)))
            if not back.members:
                return task
            self._check(back, locked)
            writing = Writing(locked.session, self._user_id, locked.zone, locked.seq + 1)
            writing.tasks([back])
            if writing.place():
                raise Conflict(task, ["/parent_id"], _CANNOT_BE)
            writing.check()
            return locked.tasks.get(task_id)

    def revert_change(self, seq: int, days: int, *, force: bool) -> Outcome:
        """Take back what the write of that number did. Raise what `Reversion.run` raises.

        `days` is how long something stays in the trash.
        """
        with self._database.transaction() as transaction:
            locked = self._lock(transaction)
            reversion = Reversion(transaction, self._user_id, self._caller, seq, locked.seq, days)
            return reversion.run(locked.zone, force=force)

    def _lock(self, transaction: RoleSessions) -> _Locked:
        session = transaction.as_user(self._user_id, self._caller.actor)
        values = {"user_id": self._user_id, **self._caller.values}
        row = session.fetch_one(statements.lock(by_key=self._caller.by_key), values)
        if row is None:
            self._caller.check(session, self._user_id)
            raise NotFound
        seq, zone = row
        return _Locked(session, TaskService(transaction, self._user_id, self._caller), seq, zone or DEFAULT_ZONE)

    def _members_at(self, version: int, task: Task, session: RoleSession) -> Members:
        """Return those members that have changed since, as they were. Raise VersionNotKept."""
        if version > task.version:
            raise VersionNotKept("The task has not had that version yet.")
        changes = Past(session, self._user_id).since("task", task.id, version)
        members, lost = before(changes)
        if lost or not is_kept(version, changes, task.version):
            raise VersionNotKept
        return members

    def _check(self, back: Back, locked: _Locked) -> None:
        """Raise Conflict or OpenSubtasks if the members cannot be what they were."""
        missing = [name for name in BRANCH if self._is_missing(name, back.members.get(name), locked.session)]
        if missing:
            raise Conflict(back.task, pointers(missing), _CANNOT_BE)
        try:
            back.row(locked.zone)
        except ValidationFailed as error:
            raise Conflict(back.task, ["/start"], _CANNOT_BE) from error
        if back.members.get("status") == "completed":
            below = TaskTree(locked.session, self._user_id).below(back.task.id)
            count = sum(each.status in OPEN for each in below)
            if count:
                raise OpenSubtasks(count)

    def _is_missing(self, name: str, id_: str | None, session: RoleSession) -> bool:
        if id_ is None:
            return False
        table = "projects" if name == "project_id" else "tasks"
        return not session.fetch_all(statements.present[table], {"user_id": self._user_id, "ids": [id_]})
