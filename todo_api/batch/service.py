"""A batch: operations that the services of tasks, projects and labels run in one transaction."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

from todo_api.batch import creations, statements
from todo_api.batch.operation import Operation
from todo_api.database import RoleSessions, Transaction
from todo_api.errors import (
    IdTaken,
    PreconditionFailed,
    TaskApiError,
    Unauthorized,
    Unavailable,
    ValidationFailed,
    Violation,
)
from todo_api.guards import Caller
from todo_api.labels import LabelService
from todo_api.projects import Project, ProjectService
from todo_api.tasks import Task, TaskService

SECONDS = 10
"""Maximum seconds until the last operation begins. All other writes of the user wait meanwhile."""


class Result(NamedTuple):
    """The task or project of an operation, as it is after the batch. None if it is gone."""

    task: Task | None = None
    project: Project | None = None


class Outcome(NamedTuple):
    """The number of what the batch wrote, or of the user's last write, and a result for each."""

    seq: int
    results: list[Result]


class BatchService:
    """Batches of a user."""

    def __init__(self, database: RoleSessions, user_id: str, caller: Caller) -> None:
        self._caller = caller
        self._database = database
        self._user_id = user_id

    def run(self, operations: Sequence[Operation]) -> Outcome:
        """Run the operations, all of them or none. The first write of a user creates their row.

        Raise Unauthorized if the caller's credential is gone, and what an operation raises.
        """
        with self._database.transaction() as transaction:
            return _Batch(transaction, self._user_id, self._caller).run(operations)


class _Batch:
    """A batch in its transaction.

    Each write takes the user's next number. That number is taken back before the following
    operation, so all of them get the same. Nobody sees the number meanwhile: the user's row is
    locked to the end.
    """

    def __init__(self, transaction: Transaction, user_id: str, caller: Caller) -> None:
        self._caller = caller
        self._db = transaction.as_user(user_id, caller.actor)
        self._user_id = user_id
        self._tasks = TaskService(transaction, user_id, caller)
        self._projects = ProjectService(transaction, user_id, caller)
        self._labels = LabelService(transaction, user_id, caller)
        self._before = 0
        self._ends = time.monotonic() + SECONDS
        self._changed: Mapping[int, PreconditionFailed] = {}
        self._found: list[Task | Project | None] = []
        self._wrote = False
        self._runs: Mapping[str, Callable[[Operation], Task | Project | None]] = {
            "create_task": lambda each: self._tasks.create(each.members, each.id),
            "update_task": lambda each: self._tasks.change(_id(each), each.members, None),
            "move_task": lambda each: self._tasks.move(_id(each), **each.members, versions=None),
            "complete_task": lambda each: self._tasks.complete(_id(each), **each.members, versions=None),
            "delete_task": lambda each: self._tasks.delete(_id(each), None),
            "create_project": lambda each: self._projects.create(each.id, **each.members),
            "update_project": lambda each: self._projects.change(_id(each), each.members, None),
            "move_project": lambda each: self._projects.move(_id(each), **each.members, versions=None),
            "delete_project": lambda each: self._projects.delete(_id(each), None),
            "rename_label": lambda each: self._rename(**each.members),
            "remove_label": lambda each: self._remove(**each.members),
        }

    def run(self, operations: Sequence[Operation]) -> Outcome:
        """Run the operations one after the other. Raise what the first that fails raises."""
        self._before = self._lock()
        self._changed = self._find_changed(operations)
        for plain, group in groupby(operations, creations.is_plain):
            several = [*group]
            if not (plain and self._create(several)):
                for operation in several:
                    self._run(operation)
        if self._wrote:
            self._set_number(self._before + 1)
        return Outcome(self._number(), self._results(operations))

    def _create(self, operations: Sequence[Operation]) -> bool:
        """Create tasks by one statement. Return False if they are to be created one by one."""
        if len(operations) == 1:
            return False
        self._take_number_back()
        made = creations.create(self._db, self._user_id, self._caller, operations)
        self._found += made or ()
        return made is not None

    def _run(self, operation: Operation) -> None:
        self._take_number_back()
        place = len(self._found)
        try:
            if time.monotonic() > self._ends:
                raise Unavailable(f"The batch took more than {SECONDS} seconds. Send its operations in several.")
            if place in self._changed:
                raise self._changed[place]
            self._found.append(self._runs[operation.kind](operation))
        except TaskApiError as error:
            raise _failed(error, place, operation, self._before) from error

    def _take_number_back(self) -> None:
        if self._found and self._set_number(self._before):
            self._wrote = True

    def _lock(self) -> int:
        """Lock the user's row, and return their last number. Raise Unauthorized."""
        named = {"user_id": self._user_id, **self._caller.values}
        row = self._db.fetch_one(statements.lock(by_key=self._caller.by_key), named)
        if row is None:
            if self._caller.registered:
                self._caller.check(self._db, self._user_id)
            self._db.fetch_all(statements.register, named)
            row = self._db.fetch_one(statements.lock(by_key=self._caller.by_key), named)
            if row is None:
                raise Unavailable("The account keeps changing. Try again.")
        return int(row[0])

    def _set_number(self, seq: int) -> bool:
        """Set the user's last number, and return whether it was another."""
        return self._db.fetch_one(statements.set_number, {"user_id": self._user_id, "seq": seq}) is not None

    def _number(self) -> int:
        """Return the user's last number."""
        row = self._db.fetch_one(statements.number, {"user_id": self._user_id})
        assert row is not None  # noqa: S101  # the row is locked
        return int(row[0])

    def _find_changed(self, operations: Sequence[Operation]) -> dict[int, PreconditionFailed]:
        """Return the errors of operations on what is at another version before the batch."""
        errors = {}
        for noun, statement in statements.versions.items():
            asked = {n: each for n, each in enumerate(operations) if each.noun == noun and each.version is not None}
            if not asked:
                continue
            ids = [each.id for each in asked.values()]
            rows = self._db.fetch_all(statement, {"user_id": self._user_id, "ids": ids})
            known = {str(id_): version for id_, version in rows}
            for n, each in asked.items():
                if known.get(_id(each), each.version) != each.version:
                    errors[n] = self._precondition_failed(each)
        return errors

    def _precondition_failed(self, operation: Operation) -> PreconditionFailed:
        if operation.noun == "task":
            return PreconditionFailed(self._tasks.get(_id(operation)))
        return PreconditionFailed(self._projects.get(_id(operation)), "The project has changed since you read it.")

    def _rename(self, label: str, name: str, *, merge: bool) -> None:
        self._labels.rename(label, name, merge=merge)

    def _remove(self, label: str) -> None:
        self._labels.remove(label)

    def _results(self, operations: Sequence[Operation]) -> list[Result]:
        """Return what the operations were about as it is now: later ones may have changed it."""
        found = self._found
        if all(each.kind in ("create_task", "create_project") for each in operations):
            tasks = {each.id: each for each in found if isinstance(each, Task)}
            projects = {each.id: each for each in found if isinstance(each, Project)}
        else:
            tasks = self._tasks.several(_ids(found, Task))
            projects = self._projects.several(_ids(found, Project))
        return [
            Result(
                tasks.get(each.id) if isinstance(each, Task) else None,
                projects.get(each.id) if isinstance(each, Project) else None,
            )
            for each in found
        ]


def _id(operation: Operation) -> str:
    assert operation.id is not None  # noqa: S101  # as the contract has it for what is to change
    return operation.id


def _ids(found: Iterable[Task | Project | None], kind: type[Task] | type[Project]) -> list[str]:
    return [each.id for each in found if isinstance(each, kind)]


def _failed(error: TaskApiError, place: int, operation: Operation, before: int) -> TaskApiError:
    """Return the error of an operation with its place in the batch.

    That the caller is gone, or the database, is no fault of the operation.
    """
    if isinstance(error, Unauthorized | Unavailable):
        return error
    if isinstance(error, IdTaken) and error.current is not None and error.current.version > before:
        # What an operation of this batch has written is not stored, and no `current`.
        detail = "Another operation of this batch writes the one that has this id."
        error = ValidationFailed([Violation("body", "/id", "conflicting", detail)])
    if isinstance(error, ValidationFailed):
        found = [each._replace(pointer=operation.pointer + each.pointer) for each in error.violations]
        return ValidationFailed(found, place)
    error.members = {**error.members, "operation": place}
    return error
