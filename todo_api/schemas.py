"""JSON values to Python values and back. Which values are allowed is the contract's business, and was checked before.

The fields are declared once, with marshmallow. Replies are dumped by a function made from those fields at start,
since marshmallow's own dump is most of the cost of a list; orjson writes times itself. Bodies are loaded by such a function too:
marshmallow's own load takes as long as all of validation.
"""

from collections.abc import Callable
from datetime import datetime
from operator import attrgetter
from typing import Any

import orjson
from marshmallow import Schema, fields, missing

from todo_api.accounts.export import SessionRecord
from todo_api.accounts.service import Account
from todo_api.api_keys.service import ApiKey
from todo_api.contract.times import parse
from todo_api.tasks.service import Task, TaskFilter


class SentTime(fields.Field[datetime]):
    """A time that a client sends. marshmallow's own field takes other spellings, and not all of RFC 3339."""

    def _deserialize(self, value: str, *_: Any, **__: Any) -> datetime:
        return parse(value)


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


class AccountSchema(Schema):
    """An account as it is told."""

    id = fields.String()
    email = fields.String(allow_none=True)
    name = fields.String(allow_none=True)
    created_at = fields.AwareDateTime()
    updated_at = fields.AwareDateTime()
    version = fields.Integer()


class SessionSchema(Schema):
    """A session as it is told."""

    id = fields.String()
    created_at = fields.AwareDateTime()
    refreshed_at = fields.AwareDateTime()
    expires_at = fields.AwareDateTime()


class ApiKeySchema(Schema):
    """An API key as it is told, but for its secret."""

    id = fields.String()
    name = fields.String()
    scopes = fields.List(fields.String())
    hint = fields.String()
    created_at = fields.AwareDateTime()
    expires_at = fields.AwareDateTime(allow_none=True)
    last_used_at = fields.AwareDateTime(allow_none=True)


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


class RegistrationSchema(Schema):
    """A new account."""

    email = fields.String(required=True)
    password = fields.String(required=True)
    name = fields.String(load_default=None)


class ApiKeyInputSchema(Schema):
    """A new API key; without `expires_at` it has no end."""

    name = fields.String(required=True)
    scopes = fields.List(fields.String(), required=True)
    expires_at = SentTime(load_default=None, allow_none=True)


def _dump_of(schema: type[Schema]) -> Callable[[Any], dict[str, Any]]:
    names = tuple(schema().fields)
    values = attrgetter(*names)

    def dump(value: Any) -> dict[str, Any]:
        return dict(zip(names, values(value), strict=True))

    return dump


def _load_of(schema: type[Schema]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Strings and null are what they are; all else is converted by its field. Members that are absent take their defaults."""
    declared = schema().fields
    defaults = {name: field.load_default for name, field in declared.items() if field.load_default is not missing}
    converters = {name: field.deserialize for name, field in declared.items() if type(field) is not fields.String}

    def load(value: dict[str, Any]) -> dict[str, Any]:
        loaded = {**defaults, **value}
        for name, convert in converters.items():
            if loaded.get(name) is not None:
                loaded[name] = convert(loaded[name])
        return loaded

    return load


def dump_json(value: Any) -> bytes:
    """A value that was dumped, as JSON (RFC 8259)."""
    return orjson.dumps(value, option=orjson.OPT_UTC_Z)


dump_task: Callable[[Task], dict[str, Any]] = _dump_of(TaskSchema)
dump_account: Callable[[Account], dict[str, Any]] = _dump_of(AccountSchema)
dump_api_key: Callable[[ApiKey], dict[str, Any]] = _dump_of(ApiKeySchema)
dump_session: Callable[[SessionRecord], dict[str, Any]] = _dump_of(SessionSchema)


def dump_current(value: Task | Account) -> dict[str, Any]:
    """What stands in the way of a conditional write, as it is told."""
    return dump_account(value) if isinstance(value, Account) else dump_task(value)


load_task_input = _load_of(TaskInputSchema)
load_task_patch = _load_of(TaskPatchSchema)
load_registration = _load_of(RegistrationSchema)
load_api_key_input = _load_of(ApiKeyInputSchema)


def load_task_filter(status: list[str] | None, completed: bool | None, q: str | None, sort: str) -> TaskFilter:
    """The filter of a list, the same for every order in which the statuses were named."""
    statuses = None if status is None else tuple(sorted(set(status)))
    return TaskFilter(statuses, completed, " ".join(q.split()) if q else None, sort)
