"""Tasks of a user: create, find, change, complete and delete."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from uuid_utils import uuid7

from todo_api.database import RoleSessions, Row, Statement
from todo_api.errors import IdTaken, InvalidCursor, InvalidTransition, NotFound, PreconditionFailed, Unavailable
from todo_api.etags import SpaceTag, version_tag
from todo_api.guards import UNREGISTERED, Caller, gone
from todo_api.models import PRIORITIES, STATUSES
from todo_api.tasks import statements
from todo_api.tasks.pagination import CursorSigner
from todo_api.tasks.transitions import TRANSITIONS, sources

Versions = Sequence[int] | None
"""Versions from which a write may start; None for any."""

_ATTEMPTS = 5

MAX_PAGE = 2 * 1024 * 1024
"""Maximum size of a page in bytes of JSON."""

MAX_TASK = 79 * 1024
"""Maximum size of a task in bytes of JSON.

It has 5,515 characters of four bytes, 20 links of 2,871 bytes, and 2 KiB for the rest.
"""

UNCUT = 50
"""Maximum number of tasks that are read whole: however long they are, they have at most 4 MiB."""


_NO_LINKS = orjson.Fragment("[]")


class Task(NamedTuple):
    """A task as it is stored. Its id is the text of a UUID; times are in UTC."""

    id: str
    user_id: str
    title: str
    description: str | None
    status: str
    completed_at: datetime | None
    created_at: datetime
    updated_at: datetime
    version: int
    priority_rank: int = 0
    links_json: str | None = None

    @property
    def priority(self) -> str:
        """Return the word for its priority."""
        return PRIORITIES[self.priority_rank]

    @property
    def links(self) -> orjson.Fragment:
        """Return its links, which are stored as JSON."""
        return _NO_LINKS if self.links_json is None else orjson.Fragment(self.links_json)

    @property
    def tag(self) -> str:
        """Return its entity tag."""
        return version_tag(self.version)

    @property
    def completed(self) -> bool:
        """Return whether the status is `completed`."""
        return self.status == "completed"


class TaskFilter(NamedTuple):
    """Filters and sort of a list."""

    statuses: tuple[str, ...] | None = None
    completed: bool | None = None
    words: str | None = None
    sort: str = "-created_at"

    def matching(self) -> tuple[str, ...] | None:
        """Return the statuses that both filters allow, None for all."""
        if self.statuses is None and self.completed is None:
            return None
        return tuple(
            status
            for status in STATUSES
            if (self.statuses is None or status in self.statuses)
            and (self.completed is None or (status == "completed") == self.completed)
        )


class Place(NamedTuple):
    """Which page of a list: at most `limit` tasks, after `cursor` or after leaving out `skip`."""

    limit: int
    skip: int = 0
    cursor: str | None = None


class TaskPage(NamedTuple):
    """A page of a list before it is cut to `MAX_PAGE`.

    `seq` is the number of the user's last write in this epoch. `tasks` is None if the client knows
    them.
    """

    epoch: int
    seq: int
    tasks: list[Task] | None
    total: int
    has_more: bool


class TaskService:
    """Tasks of a user. A method is one statement unless it fails.

    A write raises Unauthorized if the caller's credential is gone; every method does if the user
    must have a row and it is gone.
    """

    def __init__(self, database: RoleSessions, user_id: str, caller: Caller = UNREGISTERED) -> None:
        self._caller = caller
        self._db = database.as_user(user_id)
        self._user_id = user_id

    def create(self, members: dict[str, Any], task_id: str | None = None) -> Task:
        """Return the new task with these members. Raise IdTaken if a task has the id.

        The first write of an unregistered user creates their row.
        """
        status = members["status"]
        made_id = str(uuid7() if task_id is None else UUID(task_id))
        written = {"priority": 0, "links": None, **_stored(members)}
        values = {**self._named(made_id), **written}
        if task_id is None:
            statement = statements.create(status, registered=self._caller.registered, by_key=self._caller.by_key)
            row = self._db.fetch_one(statement, values)
        else:
            row = self._create_with_id(statements.create_with_id(status, by_key=self._caller.by_key), values)
        if row is None:
            self._check_caller()
            raise gone()
        title, description, priority, links = (written[name] for name in ("title", "description", "priority", "links"))
        completed_at, created_at, version = row
        times = completed_at, created_at, created_at
        return Task(made_id, self._user_id, title, description, status, *times, version, priority, links)

    def _create_with_id(self, statement: Statement, values: dict[str, Any]) -> Row | None:
        """Return what the statement returns, None if the caller is gone. Raise IdTaken."""
        row = self._db.fetch_one(statement, values)
        if row is None:
            self._check_key()
            current = self._db.fetch_one(statements.get, values)
            if current is not None:
                raise IdTaken(Task._make(current))
            if not self._caller.registered:
                self._db.fetch_all(statements.register, values)
                row = self._db.fetch_one(statement, values)
        return row

    def get(self, task_id: str) -> Task:
        """Return the task. Raise NotFound."""
        row = self._db.fetch_one(statements.get, self._named(task_id))
        if row is None:
            raise self._missing()
        return Task._make(row)

    def list(self, wanted: TaskFilter, place: Place, signer: CursorSigner, known: Sequence[SpaceTag] = ()) -> TaskPage:
        """Return a page of the tasks that match. Raise InvalidCursor.

        If `known` has the number of the user's last write, no task is read.
        """
        parameters: dict[str, Any] = {
            "user_id": self._user_id,
            "limit": place.limit + 1,
            "skip": place.skip,
            "known": [f"{tag.epoch}-{tag.number}" for tag in known],
        }
        if wanted.words:
            parameters["words"] = [_escape(word) for word in wanted.words.split()]
        epoch = None
        if place.cursor is not None:
            is_time = not wanted.sort.endswith("title")
            scope = self._scope_of(wanted)
            epoch, parameters["after_key"], parameters["after_id"] = signer.read(place.cursor, scope, is_time=is_time)
        most_octets = MAX_PAGE if place.limit > UNCUT else None
        statement = statements.page(
            wanted.sort, wanted.matching(), bool(wanted.words), place.cursor is not None, most_octets
        )
        rows = self._db.fetch_all(statement, parameters)
        if not rows and self._caller.registered:
            raise gone()
        page = _page(rows, place.limit, known)
        if epoch is not None and epoch != page.epoch:
            raise InvalidCursor
        return page

    def batch(self, after: str) -> Sequence[Task]:
        """Return some tasks by id after the given one, none after the last."""
        return [
            Task._make(row) for row in self._db.fetch_all(statements.batch, {"user_id": self._user_id, "after": after})
        ]

    def cursor_after(self, epoch: int, task: Task, wanted: TaskFilter, signer: CursorSigner) -> str:
        """Return the cursor that continues the list after the task."""
        key = getattr(task, wanted.sort.lstrip("-"))
        return signer.sign(epoch, key, UUID(task.id), self._scope_of(wanted))

    def change(self, task_id: str, changes: dict[str, Any], versions: Versions) -> Task:
        """Return the task with these members changed; `completed: False` reopens it.

        Raise NotFound, PreconditionFailed or InvalidTransition.
        """
        stored = _stored(changes)
        named = stored.keys() & statements.KEPT
        fields = frozenset(stored.keys() - named | ({"kept"} if named else set()))
        statement = statements.change(fields, versions is not None, self._caller.by_key)
        target = changes.get("status")
        if named:
            stored = {**dict.fromkeys(statements.KEPT), **stored, "named": list(named)}
        if target is not None:
            stored["sources"] = sources(target)
        return self._written(statement, task_id, versions, stored, lambda _: target)

    def complete(self, task_id: str, completed: bool | None, versions: Versions) -> Task:
        """Return the task completed (True), reopened (False) or toggled (None).

        A task that is in that state already is not written. Raise NotFound, PreconditionFailed or
        InvalidTransition.
        """
        statement = statements.complete(completed is None, versions is not None, self._caller.by_key)
        if completed is None:
            parameters: dict[str, Any] = {"sources": [*sources("completed")]}
        elif completed:
            parameters = {"status": "completed", "sources": [s for s in sources("completed") if s != "completed"]}
        else:
            parameters = {"status": "pending", "sources": ["completed"]}

        def target(task: Task) -> str | None:
            return "completed" if completed is not False and not task.completed else None

        return self._written(
            statement,
            task_id,
            versions,
            parameters,
            target,
            lambda task: completed is not None and task.completed == completed,
        )

    def delete(self, task_id: str, versions: Versions) -> None:
        """Delete the task. Raise NotFound or PreconditionFailed."""
        parameters = {**self._named(task_id), "versions": versions}
        for _ in range(_ATTEMPTS):
            if self._db.fetch_one(statements.remove(versions is not None, self._caller.by_key), parameters) is not None:
                return
            self._check_key()
            _at(self.get(task_id), versions)
        raise Unavailable("The task keeps changing. Try again.")

    def _scope_of(self, wanted: TaskFilter) -> str:
        """Return what a cursor is bound to."""
        return repr((self._user_id, wanted))

    def _missing(self) -> Exception:
        """Return why there is no such task: NotFound, or Unauthorized if the user is gone."""
        self._check_caller()
        return NotFound()

    def _check_caller(self) -> None:
        self._caller.check(self._db, self._user_id)

    def _check_key(self) -> None:
        """Raise Unauthorized before a refused write tells a revoked key anything of the task."""
        if self._caller.by_key:
            self._check_caller()

    def _named(self, task_id: str) -> dict[str, Any]:
        return {"user_id": self._user_id, "task_id": task_id, **self._caller.values}

    def _written(
        self,
        statement: Statement,
        task_id: str,
        versions: Versions,
        parameters: dict[str, Any],
        target: Callable[[Task], str | None],
        satisfied: Callable[[Task], bool] = lambda _: False,
    ) -> Task:
        """Return the row that a write returns; if there is none, find out why and raise.

        A concurrent change between both statements can hide the reason. Then the write is retried.
        """
        values = {**self._named(task_id), **parameters, "versions": versions}
        for _ in range(_ATTEMPTS):
            row = self._db.fetch_one(statement, values)
            if row is not None:
                return Task._make(row)
            self._check_key()
            current = self.get(task_id)
            _at(current, versions)
            if satisfied(current):
                return current
            status = target(current)
            if status is not None and status not in TRANSITIONS[current.status]:
                raise InvalidTransition(current.status, status, TRANSITIONS[current.status])
        raise Unavailable("The task keeps changing. Try again.")


def _at(task: Task, versions: Versions) -> None:
    if versions is not None and task.version not in versions:
        raise PreconditionFailed(task)


def _stored(members: dict[str, Any]) -> dict[str, Any]:
    """Return members of a task as its columns have them."""
    stored = dict(members)
    if "priority" in members:
        stored["priority"] = PRIORITIES.index(members["priority"])
    if "links" in members:
        stored["links"] = orjson.dumps(members["links"]).decode() if members["links"] else None
    return stored


def _escape(word: str) -> str:
    """Return the word with the wildcards of LIKE escaped."""
    return word.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")


def _page(rows: list[Row], limit: int, known: Sequence[SpaceTag]) -> TaskPage:
    epoch, seq, total = rows[0][:3] if rows else (0, 0, 0)
    if (epoch, seq) in known:
        return TaskPage(epoch, seq, None, 0, False)
    tasks = [Task._make(row[3:]) for row in rows[:limit] if row[3] is not None]
    return TaskPage(epoch, seq, tasks, total, len(rows) > limit)
