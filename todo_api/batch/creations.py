"""Many new tasks by one statement: what a client that was offline, or an import, sends most."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import orjson
from uuid_utils import uuid7

from todo_api.batch import statements
from todo_api.batch.operation import Operation
from todo_api.database import RoleSession
from todo_api.guards import Caller
from todo_api.models import STATUSES
from todo_api.tasks import Task, stored_members

_PLAIN = frozenset({"title", "description", "status", "priority", "links", "project_id"})
"""Members that concern the row of the task alone."""


def is_plain(operation: Operation) -> bool:
    """Return whether the operation creates a task by its row alone."""
    members = operation.members
    return operation.kind == "create_task" and not any(members[name] for name in members.keys() - _PLAIN)


def create(session: RoleSession, user_id: str, caller: Caller, operations: Sequence[Operation]) -> list[Task] | None:
    """Return the new tasks, written under one number. The transaction must have locked the user.

    Return None, and write nothing, if an id is taken or a project unknown: the first operation that
    fails is to say so.
    """
    chosen = [each.id for each in operations if each.id is not None]
    projects = {project for each in operations if (project := each.members.get("project_id"))}
    if len({*chosen}) < len(chosen):
        return None
    if chosen and session.fetch_all(statements.taken, {"user_id": user_id, "ids": chosen}):
        return None
    known = {"user_id": user_id, "ids": [*projects]}
    if projects and len(session.fetch_all(statements.versions["project"], known)) < len(projects):
        return None
    new = [_row(number, each) for number, each in enumerate(operations)]
    counts = Counter(each.members["status"] for each in operations)
    values = {
        "user_id": user_id,
        "new": orjson.dumps(new).decode(),
        **caller.values,
        **{name: counts[name] for name in STATUSES},
    }
    made = {str(row[0]): Task.of(row, user_id) for row in session.fetch_all(statements.create, values)}
    return [made[str(row["id"])] for row in new]


def _row(number: int, operation: Operation) -> dict[str, Any]:
    stored = {"priority": 0, "links": None, **stored_members(operation.members)}
    return {**stored, "number": number, "id": operation.id or str(uuid7())}
