"""Tasks as JSON: what is told of one, and what a client sends."""

from collections.abc import Callable
from typing import Any

from marshmallow import Schema, fields

from todo_api.schemas import dump_of
from todo_api.tasks.service import Task, TaskFilter


class TaskSchema(Schema):
    """A task as it is told."""

    id = fields.String()
    user_id = fields.String()
    title = fields.String()
    description = fields.String(allow_none=True)
    status = fields.String()
    completed = fields.Boolean()
    completed_at = fields.AwareDateTime(allow_none=True)
    created_at = fields.AwareDateTime()
    updated_at = fields.AwareDateTime()
    version = fields.Integer()


class TaskInputSchema(Schema):
    """A task as a client creates or replaces it; what is absent takes its default."""

    title = fields.String(required=True)
    description = fields.String(load_default=None, allow_none=True)
    status = fields.String(load_default="pending")


class TaskPatchSchema(Schema):
    """The members of a task to change; what is absent stays."""

    title = fields.String()
    description = fields.String(allow_none=True)
    status = fields.String()


dump_task: Callable[[Task], dict[str, Any]] = dump_of(TaskSchema)
load_task_input: Callable[[dict[str, Any]], dict[str, Any]] = TaskInputSchema().load
load_task_patch: Callable[[dict[str, Any]], dict[str, Any]] = TaskPatchSchema().load


def load_task_filter(status: list[str] | None, completed: bool | None, q: str | None, sort: str) -> TaskFilter:
    """The filter of a list, the same for every order in which the statuses were named."""
    statuses = None if status is None else tuple(sorted(set(status)))
    return TaskFilter(statuses, completed, " ".join(q.split()) if q else None, sort)
