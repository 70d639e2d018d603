"""Accounts and sessions as JSON: their representation, and what clients send."""

from collections.abc import Callable
from typing import Any

from marshmallow import Schema, fields

from todo_api.accounts.service import Account
from todo_api.accounts.sessions import SessionRecord
from todo_api.schemas import dump_of, load_of


class AccountSchema(Schema):
    """The representation of an account."""

    id = fields.String()
    email = fields.String(allow_none=True)
    name = fields.String(allow_none=True)
    time_zone = fields.String()
    week_start = fields.String()
    created_at = fields.AwareDateTime()
    updated_at = fields.AwareDateTime()
    version = fields.Integer()


class SessionSchema(Schema):
    """The representation of a session."""

    id = fields.String()
    created_at = fields.AwareDateTime()
    refreshed_at = fields.AwareDateTime()
    expires_at = fields.AwareDateTime()


class RegistrationSchema(Schema):
    """A new account."""

    email = fields.String(required=True)
    password = fields.String(required=True)
    name = fields.String(load_default=None)


dump_account: Callable[[Account], dict[str, Any]] = dump_of(AccountSchema)
dump_session: Callable[[SessionRecord], dict[str, Any]] = dump_of(SessionSchema)
load_registration: Callable[[dict[str, Any]], dict[str, Any]] = load_of(RegistrationSchema())
