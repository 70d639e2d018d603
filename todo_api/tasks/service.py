"""Tasks: create, find, change, complete and delete, for one user."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from uuid_utils import uuid7

from todo_api.database import Row, Scopes, Statement
from todo_api.errors import InvalidCursor, InvalidTransition, NotFound, PreconditionFailed, Unavailable
from todo_api.etags import SpaceTag, version_tag
from todo_api.guards import UNREGISTERED, Caller, gone
from todo_api.models import STATUSES
from todo_api.tasks import statements
from todo_api.tasks.pagination import CursorSigner
from todo_api.tasks.transitions import TRANSITIONS, sources

Versions = Sequence[int] | None
"""The versions that a write may start from; None for any."""

_ATTEMPTS = 5

MAX_PAGE = 2 * 1024 * 1024
"""Octets of JSON that a page has at most."""

MAX_TASK = 24 * 1024
"""Octets of JSON that no task exceeds: its 5,515 characters take four each, and its other members less than 2 KiB."""


class Task(NamedTuple):
    """A task as it is stored: its id as the text of a UUID, times in UTC."""

    id: str
    user_id: str
    title: str
    description: str | None
    status: str
    completed_at: datetime | None
    created_at: datetime
    updated_at: datetime
    version: int

    @property
    def tag(self) -> str:
        """Its entity tag."""
        return version_tag(self.version)

    @property
    def completed(self) -> bool:
        """Whether the status is `completed`."""
        return self.status == "completed"


class TaskFilter(NamedTuple):
    """Which tasks a list holds, and in what order."""

    statuses: tuple[str, ...] | None = None
    completed: bool | None = None
    words: str | None = None
    sort: str = "-created_at"

    def matching(self) -> tuple[str, ...] | None:
        """The statuses that both filters leave, None for all."""
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
    """One page of a list, before it is cut to `MAX_PAGE`; more tasks follow where `has_more`.

    `seq` is the number of the user's last write in this epoch; `tasks` is None where the caller knows it.
    """

    epoch: int
    seq: int
    tasks: list[Task] | None
    total: int
    has_more: bool


class TaskService:
    """The tasks of one user. Every method is one statement where all goes well.

    Where what the caller's token stands on is gone, every write raises Unauthorized, and where the user must have a row that is gone,
    every method does.
    """

    def __init__(self, database: Scopes, user_id: str, caller: Caller = UNREGISTERED) -> None:
        self._caller = caller
        self._scope = database.as_user(user_id)
        self._user_id = user_id

    def create(self, title: str, description: str | None, status: str) -> Task:
        """The new task. Where the user need not be registered, their first write makes their row as well."""
        task_id = str(uuid7())
        values = {**self._named(task_id), "title": title, "description": description}
        statement = statements.create(status, registered=self._caller.registered, by_key=self._caller.by_key)
        row = self._scope.first(statement, values)
        if row is None:
            self._check_caller()
            raise gone()
        completed_at, created_at, version = row
        return Task(task_id, self._user_id, title, description, status, completed_at, created_at, created_at, version)

    def get(self, task_id: str) -> Task:
        """The task. Raises NotFound."""
        row = self._scope.first(statements.get, self._named(task_id))
        if row is None:
            raise self._missing()
        return Task._make(row)

    def list(self, wanted: TaskFilter, place: Place, signer: CursorSigner, known: Sequence[SpaceTag] = ()) -> TaskPage:
        """One page of the tasks that `wanted` matches, with little more than `MAX_PAGE` of them read. Raises InvalidCursor.

        Where `known` has the number of the user's last write, the page has no tasks, and none was read.
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
        # Few tasks cannot fill a page, however long they are.
        most_octets = MAX_PAGE if place.limit * MAX_TASK > MAX_PAGE else None
        statement = statements.page(
            wanted.sort, wanted.matching(), bool(wanted.words), place.cursor is not None, most_octets
        )
        rows = self._scope.all(statement, parameters)
        if not rows and self._caller.registered:
            raise gone()
        page = _page(rows, place.limit, known)
        if epoch is not None and epoch != page.epoch:
            raise InvalidCursor
        return page

    def batch(self, after: str) -> Sequence[Task]:
        """Some tasks in the order of their ids, after that one. None after the last."""
        return [
            Task._make(row) for row in self._scope.all(statements.batch, {"user_id": self._user_id, "after": after})
        ]

    def cursor_after(self, epoch: int, task: Task, wanted: TaskFilter, signer: CursorSigner) -> str:
        """The cursor that continues after the task in the list of what `wanted` matches."""
        key = getattr(task, wanted.sort.lstrip("-"))
        return signer.sign(epoch, key, UUID(task.id), self._scope_of(wanted))

    def change(self, task_id: str, changes: dict[str, Any], versions: Versions) -> Task:
        """Return the task with `changes` made: any of title, description and status, or `completed: False` to reopen it.

        Raises NotFound, PreconditionFailed where it is at none of `versions`, InvalidTransition.
        """
        statement = statements.change(frozenset(changes), versions is not None, self._caller.by_key)
        target = changes.get("status")
        allowed = {} if target is None else {"sources": sources(target)}
        return self._written(statement, task_id, versions, {**changes, **allowed}, lambda _: target)

    def complete(self, task_id: str, completed: bool | None, versions: Versions) -> Task:
        """The task completed (True), reopened (False) or toggled (None). One that is as wished already is not touched.

        Raises NotFound, PreconditionFailed where it is at none of `versions`, InvalidTransition.
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
        """Deletes the task. Raises NotFound, PreconditionFailed where it is at none of `versions`."""
        parameters = {**self._named(task_id), "versions": versions}
        for _ in range(_ATTEMPTS):
            if self._scope.first(statements.remove(versions is not None, self._caller.by_key), parameters) is not None:
                return
            self._check_key()
            _at(self.get(task_id), versions)
        raise Unavailable("The task keeps changing. Try again.")

    def _scope_of(self, wanted: TaskFilter) -> str:
        """What a cursor is bound to."""
        return repr((self._user_id, wanted))

    def _missing(self) -> Exception:
        """Why there is no such task: because there is none, or because the user is gone with all of them."""
        self._check_caller()
        return NotFound()

    def _check_caller(self) -> None:
        self._caller.check(self._scope, self._user_id)

    def _check_key(self) -> None:
        """Before a refused write says anything of the task: a key that was revoked meanwhile is told nothing of it."""
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
        """The row that a write returns; where there is none, a second statement finds out why.

        A task that changed between the two may look as if nothing had been wrong: then the write is tried again.
        """
        values = {**self._named(task_id), **parameters, "versions": versions}
        for _ in range(_ATTEMPTS):
            row = self._scope.first(statement, values)
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


def _escape(word: str) -> str:
    """A word with the wildcards of LIKE taken literally."""
    return word.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")


def _page(rows: list[Row], limit: int, known: Sequence[SpaceTag]) -> TaskPage:
    epoch, seq, total = rows[0][:3] if rows else (0, 0, 0)
    if (epoch, seq) in known:
        return TaskPage(epoch, seq, None, 0, False)
    tasks = [Task._make(row[3:]) for row in rows[:limit] if row[3] is not None]
    return TaskPage(epoch, seq, tasks, total, len(rows) > limit)
