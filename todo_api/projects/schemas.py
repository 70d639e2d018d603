"""Projects as JSON: their representation, and what clients send."""

from collections.abc import Callable
from typing import Any

from marshmallow import Schema, fields

from todo_api.projects.service import Project
from todo_api.schemas import dump_of, load_of


class ProjectSchema(Schema):
    """The representation of a project."""

    id = fields.String()
    name = fields.String()
    description = fields.String(allow_none=True)
    color = fields.String(allow_none=True)
    position = fields.String()
    created_at = fields.AwareDateTime()
    updated_at = fields.AwareDateTime()
    version = fields.Integer()


class ProjectInputSchema(Schema):
    """A project as a client creates it."""

    id = fields.String(load_default=None)
    name = fields.String(required=True)
    description = fields.String(load_default=None, allow_none=True)
    color = fields.String(load_default=None, allow_none=True)


class ProjectPatchSchema(Schema):
    """Members of a project to change. Absent members stay."""

    name = fields.String()
    description = fields.String(allow_none=True)
    color = fields.String(allow_none=True)


dump_project: Callable[[Project], dict[str, Any]] = dump_of(ProjectSchema)
load_project_input: Callable[[dict[str, Any]], dict[str, Any]] = load_of(ProjectInputSchema())
load_project_patch: Callable[[dict[str, Any]], dict[str, Any]] = load_of(ProjectPatchSchema())
