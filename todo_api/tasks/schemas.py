"""Tasks as JSON: their representation, and what clients send."""

from collections.abc import Callable
from typing import Any

from marshmallow import EXCLUDE, Schema, fields

from todo_api.errors import ValidationFailed, Violation
from todo_api.schemas import dump_of
from todo_api.tasks.service import Task, TaskFilter


class TaskSchema(Schema):
    """The representation of a task."""

    id = fields.String()
    user_id = fields.String()
    title = fields.String()
    description = fields.String(allow_none=True)
    status = fields.String()
    completed = fields.Boolean()
    completed_at = fields.AwareDateTime(allow_none=True)
    priority = fields.String()
    links = fields.Raw()
    created_at = fields.AwareDateTime()
    updated_at = fields.AwareDateTime()
    version = fields.Integer()


class LinkSchema(Schema):
    """A link of a task, as a client writes it."""

    url = fields.String(required=True)
    title = fields.String(load_default=None, allow_none=True)


class TaskReplacementSchema(Schema):
    """A task as a client replaces it. Absent members of 1.0 take their defaults, others stay."""

    title = fields.String(required=True)
    description = fields.String(load_default=None, allow_none=True)
    status = fields.String(load_default="pending")
    completed = fields.Boolean()
    priority = fields.String()
    links = fields.List(fields.Nested(LinkSchema))


class TaskInputSchema(TaskReplacementSchema):
    """A task as a client creates it."""

    id = fields.String()


class TaskPatchSchema(Schema):
    """Members of a task to change. Absent members stay."""

    title = fields.String()
    description = fields.String(allow_none=True)
    status = fields.String()
    completed = fields.Boolean()
    priority = fields.String()
    links = fields.List(fields.Nested(LinkSchema))


dump_task: Callable[[Task], dict[str, Any]] = dump_of(TaskSchema)
_INPUT = TaskInputSchema()
_REPLACEMENT = TaskReplacementSchema(unknown=EXCLUDE)
_PATCH = TaskPatchSchema()


def load_task_input(body: dict[str, Any]) -> tuple[dict[str, Any], str | None]:
    """Return the members of a new task, and its id if the client made one.

    Raise ValidationFailed.
    """
    values: dict[str, Any] = _INPUT.load(_with_status(body))
    values.pop("completed", None)  # a new task is not completed anyway
    return values, values.pop("id", None)


def load_task_replacement(body: dict[str, Any]) -> dict[str, Any]:
    """Return the members to set: those of 1.0 always, later ones if they are named.

    Raise ValidationFailed.
    """
    values: dict[str, Any] = _REPLACEMENT.load(_with_status(body))
    if "completed" in values:
        del values["status"]  # it is the default, since only `completed` was sent
    return values


def load_task_patch(body: dict[str, Any]) -> dict[str, Any]:
    """Return the members to set, without a status if `completed` is False.

    Raise ValidationFailed.
    """
    values: dict[str, Any] = _PATCH.load(_with_status(body))
    return values


def _with_status(body: dict[str, Any]) -> dict[str, Any]:
    """Return the members with the status that `completed` means for any task."""
    completed, status = body.get("completed"), body.get("status")
    if completed is None:
        return body
    if status is not None and completed != (status == "completed"):
        raise ValidationFailed([Violation("body", "/completed", "conflicting", "Must agree with status.")])
    if completed:
        status = "completed"
    rest = {name: value for name, value in body.items() if name != "completed"}
    return rest | ({"completed": False} if status is None else {"status": status})


def load_task_filter(status: list[str] | None, completed: bool | None, q: str | None, sort: str) -> TaskFilter:
    """Return the filter of a list. It is the same for every order of the statuses."""
    statuses = None if status is None else tuple(sorted(set(status)))
    return TaskFilter(statuses, completed, " ".join(q.split()) if q else None, sort)
