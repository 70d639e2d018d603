"""API keys as JSON: their representation, and what clients send."""

from collections.abc import Callable
from typing import Any

from marshmallow import Schema, fields

from todo_api.api_keys.service import ApiKey
from todo_api.schemas import SentTime, dump_of, load_of


class ApiKeySchema(Schema):
    """The representation of an API key, without its secret."""

    id = fields.String()
    name = fields.String()
    scopes = fields.List(fields.String())
    hint = fields.String()
    created_at = fields.AwareDateTime()
    expires_at = fields.AwareDateTime(allow_none=True)
    last_used_at = fields.AwareDateTime(allow_none=True)


class ApiKeyInputSchema(Schema):
    """A new API key. Without `expires_at` it does not expire."""

    name = fields.String(required=True)
    scopes = fields.List(fields.String(), required=True)
    expires_at = SentTime(load_default=None, allow_none=True)


dump_api_key: Callable[[ApiKey], dict[str, Any]] = dump_of(ApiKeySchema)
load_api_key_input: Callable[[dict[str, Any]], dict[str, Any]] = load_of(ApiKeyInputSchema())
