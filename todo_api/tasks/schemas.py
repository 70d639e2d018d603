"""Tasks as JSON: their representation, and what clients send."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import orjson
from marshmallow import EXCLUDE, Schema, fields

from todo_api import task_dates, task_labels
from todo_api.contract import parse_date_time
from todo_api.errors import ValidationFailed, Violation
from todo_api.lists import TaskFilter
from todo_api.models import PRIORITIES
from todo_api.schemas import dump_actor, load_of, utc
from todo_api.task_dates import MomentPatchSchema, MomentSchema
from todo_api.task_rows import Task


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
    due = fields.Nested(MomentSchema, allow_none=True)
    start = fields.Nested(MomentSchema, allow_none=True)
    project_id = fields.String(allow_none=True)
    labels = fields.List(fields.String())
    parent_id = fields.String(allow_none=True)


class TaskInputSchema(TaskReplacementSchema):
    """A task as a client creates it."""

    id = fields.String()


class TaskPatchSchema(TaskReplacementSchema):
    """Members of a task to change. Absent members stay."""

    title = fields.String()
    description = fields.String(allow_none=True)
    status = fields.String()
    due = fields.Nested(MomentPatchSchema, allow_none=True)
    start = fields.Nested(MomentPatchSchema, allow_none=True)


_load_input = load_of(TaskInputSchema())
_load_replacement = load_of(TaskReplacementSchema(unknown=EXCLUDE))
_load_patch = load_of(TaskPatchSchema())

_NONE = orjson.Fragment("[]")
_ORDER = """id user_id title description status completed completed_at priority links due start position
project_id labels parent_id created_at updated_at created_by version"""
_PLAIN = dict.fromkeys(_ORDER.split()) | {"priority": PRIORITIES[0], "links": _NONE, "labels": _NONE}
"""The members of a task that has nothing of what came after 1.0."""


def dump_task(task: Task) -> dict[str, Any]:
    """Return the representation of a task. By hand, since a list has a thousand of them."""
    # Unpacked at once, which takes less than to ask a tuple for each by its name.
    id_, title, description, status, completed, created, updated, version, position, creator, more, user_id = task
    members: dict[str, Any] = dict(
        _PLAIN,  # copied faster than nineteen members are made
        id=id_,
        user_id=user_id,
        title=title,
        description=description,
        status=status,
        completed=status == "completed",
        completed_at=completed and utc(completed),
        position=position,
        created_at=utc(created),
        updated_at=utc(updated),
        created_by=dump_actor(creator),
        version=version,
    )
    if more is not None:
        rank, links, dates, project_id, labels, parent_id = task.after_1_0
        due, start = task_dates.represented(dates)
        listed = {"links": orjson.Fragment(links or "[]"), "labels": orjson.Fragment(labels or "[]")}
        members |= listed | {"due": due, "start": start, "project_id": project_id, "parent_id": parent_id}
        members["priority"] = PRIORITIES[rank]
    return members


def load_task_input(body: dict[str, Any]) -> tuple[dict[str, Any], str | None]:
    """Return the members of a new task, and its id if the client made one.

    Raise ValidationFailed.
    """
    values = _checked(_load_input(_with_status(body)))
    values.pop("completed", None)  # a new task is not completed anyway
    return values, values.pop("id", None)


def load_task_replacement(body: dict[str, Any]) -> dict[str, Any]:
    """Return the members to set: those of 1.0 always, later ones if they are named.

    Raise ValidationFailed.
    """
    values = _checked(_load_replacement(_with_status(body)))
    if "completed" in values:
        del values["status"]  # it is the default, since only `completed` was sent
    return values


def load_task_patch(body: dict[str, Any]) -> dict[str, Any]:
    """Return the members to set, without a status if `completed` is False.

    Raise ValidationFailed.
    """
    return _checked(_load_patch(_with_status(body)))


def _checked(values: dict[str, Any]) -> dict[str, Any]:
    """Return the members with labels by their keys. Raise ValidationFailed."""
    found = task_dates.violations(values) + task_labels.violations(values.get("labels", ()), "/labels")
    if found:
        raise ValidationFailed(found)
    if "labels" in values:
        values["labels"] = task_labels.by_key(values["labels"])
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


_KNOWN = task_dates.FILTERS | {"status", "completed", "q"}
_FURTHER: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "priority": ("priorities", lambda words: sorted({PRIORITIES.index(word) for word in words})),
    "label": ("labels", lambda names: sorted({*map(task_labels.key_of, names)})),
    "project_id": ("project_id", lambda id_: str(UUID(id_))),
    "parent_id": ("parent_id", lambda id_: str(UUID(id_))),
    "updated_since": ("updated_since", parse_date_time),
}
"""The condition of each filter after 1.1, and what makes its parameter of the sent value."""

_WITHOUT = {"project_id": "in_no_project", "parent_id": "without_parent"}
"""The condition of those that are `none`."""


def load_task_filter(sort: str, sent: dict[str, Any]) -> TaskFilter:
    """Return the filter of a list. It is the same for every order of a filter's values."""
    status, q = sent.get("status"), sent.get("q")
    statuses = None if status is None else tuple(sorted(set(status)))
    words = " ".join(q.split()) if q else None
    further = tuple(_further(name, value) for name, value in sent.items() if name not in _KNOWN)
    dates = None if task_dates.FILTERS.isdisjoint(sent) else task_dates.load_filter(sent)
    return TaskFilter(statuses, sent.get("completed"), words, sort, further, dates)


def _further(name: str, value: Any) -> tuple[str, Any]:
    if value == "none" and name in _WITHOUT:
        return _WITHOUT[name], None
    condition, convert = _FURTHER[name]
    return condition, convert(value)
