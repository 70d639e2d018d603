"""The trash of a user: list it, bring something back, and delete it for good."""

import struct
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from todo_api.database import LONG, Database, RoleSession, RoleSessions, Row, Transaction
from todo_api.errors import (
    InvalidCursor,
    NotFound,
    ParentGone,
    ParentInTrash,
    TooDeep,
    TooManyProjects,
    Unavailable,
    ValidationFailed,
)
from todo_api.guards import Caller, gone
from todo_api.lists import CursorSigner
from todo_api.local_time import DEFAULT_ZONE
from todo_api.models import MOST_PROJECTS
from todo_api.projects import Project, ProjectService
from todo_api.task_dates import correct
from todo_api.task_labels import TaskLabels, by_key
from todo_api.task_tree import Descendant, TaskTree
from todo_api.tasks import Task, TaskService
from todo_api.trash import statements
from todo_api.trash.exported import TrashedObject

AT_ONCE = 1000
"""Number of tasks that one statement brings back."""

SECONDS = 2 * LONG
"""Maximum seconds until the last of them begins: it takes at most twice as long as to delete them.

All other writes of the user wait meanwhile.
"""

_MISSING = "There is nothing of this id in your trash. What was deleted with something else comes back with that."
_PLACE = struct.Struct(">qq16s")
_OF_TRASH = 4
"""Number of columns before the row in what `statements.batches` return."""


class TrashedItem(NamedTuple):
    """A deleted task or project. `others` is the number of tasks deleted along with it.

    `actor` has kind, id and name of the credential that deleted it, None if it is not known.
    """

    kind: str
    id: str
    title: str
    version: int
    trashed_at: datetime
    actor: str | None
    others: int


class TrashPage(NamedTuple):
    """A page of the trash, and the cursor of the next one.

    `seq` is the number of the user's last write in the epoch. `oldest` is the version of what goes
    next by itself.
    """

    epoch: int
    seq: int
    oldest: int | None
    items: list[TrashedItem]
    next_cursor: str | None


class TrashService:
    """The trash of a user, in which something stays for some `days`.

    A write locks the user's row first, so it sees everything as it is. It raises Unauthorized if
    the caller's credential is gone; every method does if the user must have a row and it is gone.
    """

    def __init__(self, database: RoleSessions, user_id: str, caller: Caller, days: int) -> None:
        self._caller = caller
        self._database = database
        self._days = days
        self._db = database.as_user(user_id)
        self._user_id = user_id

    def list(self, limit: int, cursor: str | None, signer: CursorSigner) -> TrashPage:
        """Return what was deleted by itself, the latest first. Raise InvalidCursor."""
        place = None if cursor is None else _read(signer.open(cursor, self._scope))
        values = self._named() | {"limit": limit + 1}
        if place is not None:
            values |= {"version": place[1], "id": place[2]}
        rows = self._db.fetch_all(statements.page(continued=place is not None), values)
        if not rows:
            if self._caller.registered:
                raise gone()
            return TrashPage(0, 0, None, [], None)
        epoch, seq, oldest = rows[0][:3]
        if place is not None and place[0] != epoch:
            raise InvalidCursor
        items = [TrashedItem._make(row[3:]) for row in rows if row[3] is not None]
        next_cursor = None
        if len(items) > limit:
            last = items[limit - 1]
            next_cursor = signer.seal(_PLACE.pack(epoch, last.version, UUID(last.id).bytes), self._scope)
        return TrashPage(epoch, seq, oldest, items[:limit], next_cursor)

    def all(self) -> Iterator[TrashedObject]:
        """Yield everything, projects before tasks. It is read in batches."""
        for kind, statement in statements.batches.items():
            after = str(UUID(int=0))
            while rows := self._db.fetch_all(statement, self._named() | {"after": after}):
                for row in rows:
                    yield self._trashed(kind, *row)
                after = row[_OF_TRASH]

    def _trashed(self, kind: str, root_id: str, version: int, at: str, actor: str | None, *row: Any) -> TrashedObject:
        task = Task.of(row, self._user_id) if kind == "task" else None
        project = None
        if kind == "project":
            *members, created_at, updated_at, last = row
            times = (datetime.fromisoformat(created_at), datetime.fromisoformat(updated_at))
            project = Project._make((*members, *times, last))
        trashed_at = datetime.fromisoformat(at)
        return TrashedObject(task, project, root_id, version, trashed_at, self.purge_at(trashed_at), actor)

    def purge_at(self, trashed_at: datetime) -> datetime:
        """Return when something is deleted for good."""
        return trashed_at + timedelta(days=self._days)

    def empty(self) -> None:
        """Delete everything in the trash for good."""
        with self._database.transaction() as transaction:
            session = transaction.as_user(self._user_id, self._caller.actor)
            if self._lock(session) is not None:
                session.fetch_all(statements.empty, self._named())

    def remove(self, item_id: str) -> None:
        """Delete an item for good, with what went along. Raise NotFound."""
        with self._database.transaction() as transaction:
            session = transaction.as_user(self._user_id, self._caller.actor)
            _, (kind, *_) = self._find(session, item_id)
            session.fetch_all(statements.remove, self._named() | {"item_id": item_id, "kind": kind})

    def restore(self, item_id: str, kind: str | None = None) -> Task | Project:
        """Return an item, brought back under one number with what went along.

        `kind` is `task` or `project`; without it the later of both.

        Raise NotFound, ParentInTrash, ParentGone, TooDeep, TooManySubtasks, TooManyLabels or
        TooManyProjects, or Unavailable after so many seconds.
        """
        with self._database.transaction() as transaction:
            session = transaction.as_user(self._user_id, self._caller.actor)
            (zone, count), (kind, parent_id, project_id) = self._find(session, item_id, kind)
            if kind == "project":
                if count >= MOST_PROJECTS:
                    raise TooManyProjects
                parent_id, project_id = None, item_id
            named = self._named() | {"item_id": item_id, "kind": kind}
            contents = _parents_first(session.fetch_all(statements.contents, named))
            tree = TaskTree(session, self._user_id)
            if parent_id is not None:
                project_id = self._project_below(session, tree, parent_id, _below(item_id, contents))
            elif kind == "task" and project_id is not None:
                row = session.fetch_one(statements.project, named | {"project_id": project_id})
                project_id = None if row is None else project_id
            self._restore(session, contents, named | {"project_id": project_id, "zone": zone or DEFAULT_ZONE})
            tree.count(parent_id, 1)
            return self._found(transaction, kind, item_id)

    def _restore(self, session: RoleSession, contents: Sequence[Row], values: Mapping[str, object]) -> None:
        """Bring a root back, so many tasks at a time. Raise TooManyLabels or Unavailable."""
        ends = time.monotonic() + SECONDS
        labels = TaskLabels(session, self._user_id)
        for start in range(0, max(1, len(contents)), AT_ONCE):
            if time.monotonic() > ends:
                raise Unavailable(f"The restoration took more than {SECONDS} seconds; nothing was changed.")
            these = contents[start : start + AT_ONCE]
            ids = [str(id_) for id_, *_ in these]
            row = session.fetch_one(statements.restore(first=start == 0), {**values, "ids": ids})
            assert row is not None  # noqa: S101  # the user's row is locked
            named = {str(id_): by_key(orjson.loads(names)) for id_, _, _, names in these if names is not None}
            labels.restore(int(row[0]), named)
            correct(session, self._user_id, ids, str(values["zone"]))
        if any(names is not None for *_, names in contents):
            labels.check_number()

    def _project_below(
        self, session: RoleSession, tree: TaskTree, parent_id: str, below: Sequence[Descendant]
    ) -> str | None:
        """Return the project that a task has below its parent of before.

        Raise ParentInTrash, ParentGone, TooDeep or TooManySubtasks.
        """
        try:
            return tree.branch({"parent_id": parent_id}, below=below).project_id
        except ValidationFailed as error:
            if error.violations[0].code == "too_deep":
                raise TooDeep from error
            named = self._named() | {"task_id": parent_id}
            in_trash = session.fetch_one(statements.is_in_trash, named) is not None
            raise (ParentInTrash if in_trash else ParentGone) from error

    def _found(self, transaction: Transaction, kind: str, item_id: str) -> Task | Project:
        if kind == "project":
            return ProjectService(transaction, self._user_id, self._caller).get(item_id)
        return TaskService(transaction, self._user_id, self._caller).get(item_id)

    def _find(self, session: RoleSession, item_id: str, kind: str | None = None) -> tuple[Row, Row]:
        """Lock the user's row; return what `lock` and `root` return. Raise NotFound."""
        me = self._lock(session)
        named = self._named() | {"item_id": item_id, "kind": kind}
        found = None if me is None else session.fetch_one(statements.root, named)
        if me is None or found is None:
            raise NotFound(_MISSING)
        return me, found

    def _lock(self, session: RoleSession) -> Row | None:
        """Lock the user's row. Return None if an unregistered user has none."""
        row = session.fetch_one(statements.lock(by_key=self._caller.by_key), self._named())
        if row is None:
            self._caller.check(session, self._user_id)
        return row

    def _named(self) -> dict[str, object]:
        return {"user_id": self._user_id, "days": self._days, **self._caller.values}

    @property
    def _scope(self) -> str:
        return f"trash of {self._user_id!r}"


def purge(database: Database, days: int) -> int:
    """Delete what is in the trash for more days, a thousand rows at most, and return how many.

    Return zero if another process is purging. Raise Unavailable.
    """
    ((count,),) = database.as_trash_purge(days).fetch_all(statements.PURGE, {"days": days})
    return int(count)


def _read(content: bytes) -> tuple[int, int, str]:
    """Return epoch, version and id of a cursor. Raise InvalidCursor."""
    try:
        epoch, version, id_ = _PLACE.unpack(content)
    except struct.error as error:  # another release wrote it
        raise InvalidCursor from error
    return epoch, version, str(UUID(bytes=id_))


def _parents_first(contents: Sequence[Row]) -> Sequence[Row]:
    """Return tasks of the trash, each after its parent."""
    if len(contents) <= AT_ONCE:
        return contents  # one statement brings them back, in any order
    there = {row[0] for row in contents}
    children: dict[str, list[Row]] = {}
    for row in contents:
        children.setdefault(row[1] if row[1] in there else "", []).append(row)
    found = list(children.get("", ()))
    for above in found:
        found += children.get(above[0], ())
    return found


def _below(root_id: str, contents: Iterable[Row]) -> list[Descendant]:
    """Return the tasks that are below a task in the trash, with their levels."""
    children: dict[str, list[Row]] = {}
    for row in contents:
        children.setdefault(str(row[1]), []).append(row)
    found = [Descendant(root_id, "", 0)]
    for above in found:
        found += [Descendant(str(row[0]), row[2], above.level + 1) for row in children.get(above.id, ())]
    return found[1:]
