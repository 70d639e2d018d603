"""Batches as JSON: what clients send, and the representation of what was done."""

from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from todo_api import projects, tasks
from todo_api.batch.operation import Operation
from todo_api.batch.service import Outcome
from todo_api.contract import MAX_VIOLATIONS
from todo_api.errors import ValidationFailed, Violation
from todo_api.schemas import load_place
from todo_api.task_tree import load_destination

Members = dict[str, Any]


def load_batch(body: Members) -> list[Operation]:
    """Return the operations. Raise ValidationFailed with the violations of all of them."""
    operations: list[Operation] = []
    violations: list[Violation] = []
    first = None
    known: set[tuple[str, str | None]] = set()
    for place, each in enumerate(body["operations"]):
        ((kind, sent),) = each.items()
        pointer = f"/operations/{place}/{kind}"
        operation = Operation(
            kind,
            str(UUID(sent["id"])) if "id" in sent else None,  # as the database returns it
            sent.get("version"),
            sent,
            f"{pointer}/change" if "change" in sent else pointer,
        )
        found = []
        if operation.version is not None and (operation.noun, operation.id) in known:
            detail = "Only the first operation on an object may have a version."
            found.append(Violation("body", f"{pointer}/version", "conflicting", detail))
        known.add((operation.noun, operation.id))
        try:
            operations.append(operation._replace(members=_LOADS[kind](sent)))
        except ValidationFailed as error:
            found += [each._replace(pointer=operation.pointer + each.pointer) for each in error.violations]
        if found and first is None:
            first = place
        violations += found
    if violations:
        raise ValidationFailed(violations[:MAX_VIOLATIONS], first)
    return operations


def _load_new_project(sent: Members) -> Members:
    members = projects.load_project_input(sent)
    del members["id"]
    return members


def _load_task_move(sent: Members) -> Members:
    branch, destination = load_destination(_place(sent))
    return {"branch": branch, "destination": destination}


def _place(sent: Members) -> Members:
    """Return where something is to go. Raise ValidationFailed if that is not said."""
    place = {name: value for name, value in sent.items() if name not in ("id", "version")}
    if not place:
        raise ValidationFailed([Violation("body", "", "too_few", "Must say where to move it.")])
    return place


_LOADS: Mapping[str, Callable[[Members], Members]] = {
    "create_task": lambda sent: tasks.load_task_input(sent)[0],
    "update_task": lambda sent: tasks.load_task_patch(sent["change"]),
    "move_task": _load_task_move,
    "complete_task": lambda sent: {"completed": sent.get("completed", True), "subtasks": sent.get("subtasks")},
    "delete_task": lambda _: {},
    "create_project": _load_new_project,
    "update_project": lambda sent: projects.load_project_patch(sent["change"]),
    "move_project": lambda sent: {"destination": load_place(_place(sent))},
    "delete_project": lambda _: {},
    "rename_label": lambda sent: {"merge": False, **sent},
    "remove_label": lambda sent: sent,
}
"""Functions that make the arguments of an operation from its members, by its kind."""


def dump_outcome(outcome: Outcome) -> Members:
    """Return the representation of what a batch did."""
    return {
        "seq": outcome.seq,
        "results": [
            {
                "task": None if each.task is None else tasks.dump_task(each.task),
                "project": None if each.project is None else projects.dump_project(each.project),
            }
            for each in outcome.results
        ],
    }
