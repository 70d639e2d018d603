"""Tasks of a user: create, find, change, complete and delete."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any
from uuid import UUID

import orjson
from uuid_utils import uuid7

from todo_api.database import RoleSessions, Row, Statement
from todo_api.errors import (
    IdTaken,
    InvalidCursor,
    InvalidTransition,
    NotFound,
    PreconditionFailed,
    Unavailable,
    ValidationFailed,
)
from todo_api.guards import UNREGISTERED, Caller, gone
from todo_api.lists import (
    MAX_PAGE,
    Asked,
    CursorSigner,
    Known,
    Place,
    Position,
    TaskFilter,
    TaskPage,
    cursor_after,
    now,
    read_cursor,
    zone_of,
)
from todo_api.local_time import DEFAULT_ZONE
from todo_api.models import PRIORITIES
from todo_api.ordering import Destination
from todo_api.task_dates import MEMBERS, NO_DATES, columns_of, represented
from todo_api.task_labels import TaskLabels, as_json
from todo_api.task_rows import Task, more_of
from todo_api.task_tree import TaskTree
from todo_api.tasks import list_statements, statements
from todo_api.tasks.transitions import TRANSITIONS, sources
from todo_api.tasks.tree_writes import Change, OtherZone, TreeWrites, write

Versions = Sequence[int] | None
"""Versions from which a write may start; None for any."""

_ATTEMPTS = 5
_WHOLE = (*MEMBERS, *statements.BRANCH, "labels")
"""Members of a new task that take more than the shortest statement."""

MAX_TASK = 84 * 1024
"""Maximum size of a task in bytes of JSON.

It has 6,715 characters of four bytes, 20 links of 2,871 bytes, and 2 KiB for the rest.
"""

UNCUT = 50
"""Maximum number of tasks that are read whole: however long, they have at most 4.2 MB."""


class TaskService:
    """Tasks of a user. A method is one statement unless it fails, or concerns several tasks.

    A write raises Unauthorized if the caller's credential is gone; every method does if the user
    must have a row and it is gone.
    """

    def __init__(self, database: RoleSessions, user_id: str, caller: Caller = UNREGISTERED) -> None:
        self._caller = caller
        self._database = database
        self._db = database.as_user(user_id, caller.actor)
        self._tree_writes = TreeWrites(database, user_id, caller)
        self._user_id = user_id

    def create(self, members: dict[str, Any], task_id: str | None = None) -> Task:
        """Return the new task with these members.

        Raise IdTaken if a task has the id, in the trash as well, TooManyLabels, TooManySubtasks or
        ValidationFailed.
        """
        if labels := members.get("labels"):
            return self._with_labels(labels, partial(TaskService._place, members=members, task_id=task_id))
        return self._place(members, task_id)

    def _place(self, members: dict[str, Any], task_id: str | None) -> Task:
        if not members.get("parent_id"):
            return self._create(members, task_id)
        with self._database.transaction() as transaction:
            within = TaskService(transaction, self._user_id, self._caller)
            return TaskService._create_below(within, members, task_id)

    def _create_below(self, members: dict[str, Any], task_id: str | None) -> Task:
        """Return the new task of a parent. It is part of a transaction."""
        tree = TaskTree(self._db, self._user_id)
        if tree.lock(self._caller) is None:
            self._check_caller()
        if task_id is not None:
            self._check_id(task_id)
        stored = stored_members(members)
        branch = tree.branch({name: stored[name] for name in statements.BRANCH if name in stored})
        task = self._create({**members, **branch._asdict()}, task_id)
        tree.count(branch.parent_id, 1)
        return task

    def _create(self, members: dict[str, Any], task_id: str | None) -> Task:
        status = members["status"]
        made_id = str(uuid7() if task_id is None else UUID(task_id))
        values = {**self._named(made_id), "priority": 0, "links": None, **stored_members(members)}
        if task_id is not None or any(map(members.get, _WHOLE)):
            row, values = self._create_whole(status, members, values, chosen=task_id is not None)
        else:
            whole = bool(members.get("links")) or values["priority"] > 0
            of_caller = {"registered": self._caller.registered, "by_key": self._caller.by_key}
            row = self._db.fetch_one(statements.create(status, whole=whole, **of_caller), values)
        if row is None:
            self._check_caller()
            raise gone()
        at, values["version"], values["position"], values["created_by"] = row
        values |= {"id": made_id, "status": status, "created_at": at, "updated_at": at, "more": more_of(values)}
        values["completed_at"] = at if status == "completed" else None
        return Task._make(map(values.get, Task._fields))

    def _create_whole(
        self, status: str, members: dict[str, Any], values: dict[str, Any], *, chosen: bool
    ) -> tuple[Row | None, dict[str, Any]]:
        """Return what the statement returns, None if the caller is gone, and its values.

        Raise IdTaken.
        """
        statement = statements.create_whole(status, chosen=chosen, by_key=self._caller.by_key)
        written = {name: members[name] for name in MEMBERS if name in members}
        for _ in range(_ATTEMPTS):
            zone = self._zone() if any(written.values()) else None
            dated = NO_DATES | columns_of(written, dict.fromkeys(MEMBERS), zone or DEFAULT_ZONE)
            whole = {"labels": None, **dict.fromkeys(statements.BRANCH), **values, **dated, "zone": zone}
            row = write(self._db, statement, whole)
            if row is not None:
                return row, whole
            self._check_key()
            self._check_id(values["task_id"])
            if self._caller.registered:
                self._check_caller()
            else:
                self._db.fetch_all(statements.register, values)
        raise Unavailable("The account keeps changing. Try again.")

    def _check_id(self, task_id: str) -> None:
        """Raise IdTaken if a task has the id, in the trash as well."""
        current = self._db.fetch_one(statements.get, self._named(task_id))
        if current is not None:
            raise IdTaken(Task.of(current, self._user_id))
        if self._db.fetch_one(statements.is_in_trash, self._named(task_id)) is not None:
            raise IdTaken(None, "A task in your trash has this id. Restore it, or delete it there.")

    def _zone(self) -> str:
        """Return the user's zone."""
        row = self._db.fetch_one(statements.zone, {"user_id": self._user_id})
        return DEFAULT_ZONE if row is None or row[0] is None else str(row[0])

    def get(self, task_id: str) -> Task:
        """Return the task. Raise NotFound."""
        row = self._db.fetch_one(statements.get, self._named(task_id))
        if row is None:
            raise self._missing()
        return Task.of(row, self._user_id)

    def several(self, ids: Sequence[str]) -> dict[str, Task]:
        """Return those of these tasks that there are, by id."""
        rows = self._db.fetch_all(statements.several, {"user_id": self._user_id, "ids": ids})
        return {row[0]: Task.of(row, self._user_id) for row in rows}

    def list(
        self, wanted: TaskFilter, place: Place, signer: CursorSigner, known: Known = lambda _: ()
    ) -> TaskPage[Task]:
        """Return a page of the tasks that match. Raise InvalidCursor.

        If `known` has the number of the user's last write, no task is read. Filters by dates take
        one statement more if the user is not in the default zone, and none is named.
        """
        position = read_cursor(self._user_id, wanted, place.cursor, signer)
        asked = Asked(self._user_id, wanted, place)
        if wanted.dates is None or not wanted.needs_zone:
            return self._page(asked, position, known, self._rows(asked, position, known))
        moment, zone = now(), wanted.dates.zone
        if position is not None or zone is not None:
            clock = wanted.dates.clock(moment, zone or DEFAULT_ZONE) if position is None else position.clock
            asked = asked._replace(clock=clock)
            return self._page(asked, position, known, self._rows(asked, position, known))
        zone = DEFAULT_ZONE
        for _ in range(_ATTEMPTS):
            asked = asked._replace(clock=wanted.dates.clock(moment, zone), in_zone=True)
            rows = self._rows(asked, position, known)
            if asked.is_in_zone(rows):
                return self._page(asked, position, known, rows)
            zone = zone_of(rows)
        raise Unavailable("The account keeps changing. Try again.")

    def _rows(self, asked: Asked, position: Position | None, known: Known) -> Sequence[Row]:
        wanted = asked.wanted
        most_octets = MAX_PAGE if asked.place.limit > UNCUT else None
        statement = list_statements.page(
            wanted.sort,
            wanted.matching(),
            wanted.conditions(),
            position is not None,
            most_octets,
            in_zone=asked.in_zone,
        )
        rows = self._db.fetch_all(statement, asked.parameters(position, known))
        if not rows and self._caller.registered:
            raise gone()
        return rows

    def _page(self, asked: Asked, position: Position | None, known: Known, rows: Sequence[Row]) -> TaskPage[Task]:
        page = asked.page(rows, known, Task._make)
        if position is not None and position.epoch != page.epoch:
            raise InvalidCursor
        return page

    def batch(self, after: str) -> Sequence[Task]:
        """Return some tasks by id after the given one, none after the last."""
        return [
            Task.of(row, self._user_id)
            for row in self._db.fetch_all(list_statements.batch, {"user_id": self._user_id, "after": after})
        ]

    def cursor_after(self, page: TaskPage[Task], number: int, wanted: TaskFilter, signer: CursorSigner) -> str:
        """Return the cursor that continues the list after that task of the page."""
        return cursor_after(self._user_id, page, number, wanted, signer)

    def change(self, task_id: str, changes: dict[str, Any], versions: Versions) -> Task:
        """Return the task with these members; `completed: False` reopens it.

        If nothing changes, it is not written. Raise NotFound, PreconditionFailed,
        InvalidTransition, OpenSubtasks, TooManyLabels, TooManySubtasks, or ValidationFailed.
        """
        if changes.keys().isdisjoint((*MEMBERS, "labels")):
            return self._set(task_id, changes, stored_members(changes), versions)
        for _ in range(_ATTEMPTS):
            row = self._db.fetch_one(statements.get_with_zone, self._named(task_id))
            if row is None:
                raise self._missing()
            task, zone = Task.of(row[1:], self._user_id), row[0] or DEFAULT_ZONE
            before = dict(zip(MEMBERS, represented(task.after_1_0.dates), strict=True))
            try:
                _at(task, versions)
                dated = columns_of({name: changes[name] for name in MEMBERS if name in changes}, before, zone)
            except (PreconditionFailed, ValidationFailed):
                self._check_key()
                raise
            stored = stored_members(changes) | dated | {"zone": zone}
            write = partial(TaskService._set, task_id=task_id, changes=changes, stored=stored, versions=[task.version])
            try:
                if stored.get("labels", task.after_1_0.labels) == task.after_1_0.labels:
                    return write(self)
                return self._with_labels(changes["labels"], write)
            except (PreconditionFailed, OtherZone):
                continue
        raise Unavailable("The task keeps changing. Try again.")

    def _with_labels(self, labels: Mapping[str, str], write: "Callable[[TaskService], Task]") -> Task:
        """Return the task, written in one transaction with the rows of its labels.

        The write locks the user's row. Raise TooManyLabels, and what the write raises.
        """
        with self._database.transaction() as transaction:
            task = write(TaskService(transaction, self._user_id, self._caller))
            TaskLabels(transaction.as_user(self._user_id), self._user_id).write(task.id, task.version, labels)
        return task

    def _set(self, task_id: str, changes: dict[str, Any], stored: dict[str, Any], versions: Versions) -> Task:
        """Return the task with these columns. Raise what `change` raises, and OtherZone."""
        named = stored.keys() & statements.KEPT
        fields = frozenset(stored.keys() - named - {"zone"} | ({"kept"} if named else set()))
        statement = statements.change(fields, versions is not None, self._caller.by_key)
        target, wanted = changes.get("status"), stored
        if named:
            stored = {**dict.fromkeys([*statements.KEPT, "zone"]), **stored, "named": list(named)}
        if target is not None:
            stored["sources"] = sources(target)

        def done(task: Task) -> Task | None:
            _at(task, versions)
            if task.has(wanted):
                return task
            _check_transition(task, target)
            return None

        values = {**self._named(task_id), **stored, "versions": versions}
        return self._written(statement, task_id, values, Change(wanted, done))

    def complete(self, task_id: str, completed: bool | None, versions: Versions, subtasks: str | None = None) -> Task:
        """Return the task completed (True), reopened (False) or toggled (None).

        A task that is in that state already is not written. `subtasks` says whether to `complete`
        or to `leave` open ones. Raise NotFound, PreconditionFailed, InvalidTransition or
        OpenSubtasks.
        """
        statement = statements.complete(completed is None, versions is not None, self._caller.by_key)
        from_any = sources("completed")
        parameters: dict[str, Any] = {"leave": subtasks == "leave"}
        columns: dict[str, Any]
        if completed is None:
            columns, parameters["sources"] = {"toggled": True}, from_any
        elif completed:
            columns, parameters["sources"] = {"status": "completed"}, [s for s in from_any if s != "completed"]
        else:
            columns, parameters["sources"] = {"status": "pending"}, ["completed"]

        def done(task: Task) -> Task | None:
            _at(task, versions)
            if completed is not None and task.completed == completed and not (completed and subtasks == "complete"):
                return task
            _check_transition(task, "completed" if completed is not False and not task.completed else None)
            return None

        values = {**self._named(task_id), **parameters, **columns, "versions": versions}
        return self._written(statement, task_id, values, Change(columns, done, subtasks=subtasks))

    def move(self, task_id: str, branch: dict[str, Any], destination: Destination | None, versions: Versions) -> Task:
        """Return the task in its place, unwritten if it is there. Raise what `change` raises."""
        change = Change(stored_members(branch), lambda task: _at(task, versions), destination)
        return self._tree_writes.change(task_id, change)

    def delete(self, task_id: str, versions: Versions, *, permanent: bool = False) -> None:
        """Delete the task and all below it, to the trash unless it is to be `permanent`.

        Raise NotFound or PreconditionFailed.
        """
        statement = statements.remove(versions is not None, self._caller.by_key, permanent=permanent)
        if self._db.fetch_one(statement, {**self._named(task_id), "versions": versions}) is None:
            self._check_key()
            _at(self.get(task_id), versions)
            self._tree_writes.delete(task_id, lambda task: _at(task, versions), permanent=permanent)

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

    def _written(self, statement: Statement, task_id: str, values: dict[str, Any], change: Change) -> Task:
        """Return the row that a write returns; if there is none, find out why.

        Either it need not or must not be written, or it concerns several tasks.
        """
        row = write(self._db, statement, values)
        if row is not None:
            return Task.of(row, self._user_id)
        self._check_key()
        return change.done(self.get(task_id)) or self._tree_writes.change(task_id, change)


def _at(task: Task, versions: Versions) -> None:
    if versions is not None and task.version not in versions:
        raise PreconditionFailed(task)


def _check_transition(task: Task, status: str | None) -> None:
    if status is not None and status not in TRANSITIONS[task.status]:
        raise InvalidTransition(task.status, status, TRANSITIONS[task.status])


def stored_members(members: dict[str, Any]) -> dict[str, Any]:
    """Return members of a task as its columns have them."""
    stored = dict(members)
    for name in MEMBERS:
        stored.pop(name, None)
    if "priority" in members:
        stored["priority"] = PRIORITIES.index(members["priority"])
    for name in statements.BRANCH:
        if members.get(name):
            stored[name] = str(UUID(members[name]))  # as the database returns it
    if "links" in members:
        stored["links"] = orjson.dumps(members["links"]).decode() if members["links"] else None
    if "labels" in members:
        stored["labels"] = as_json(members["labels"])
    return stored
