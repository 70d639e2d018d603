"""Users of each kind, put into the database as the service would: with an account and a session, with an API key, or with nothing."""

import secrets
from hashlib import sha256
from uuid import uuid4

from tests.support.rows import rows
from todo_api.api_keys import secret as api_keys
from todo_api.auth.tokens import TokenIssuer
from todo_api.models import KEY_SCOPES

TOKEN_KINDS = ("operator", "account", "key")
"""Kinds of tokens: made by an operator for a user without a row, of a session of an account, or an API key."""


def new_token(url: str, issuer: TokenIssuer, kind: str, password_hash: str) -> str:
    """The token of a new user."""
    user_id = str(uuid4()) if kind == "account" else f"user-{secrets.token_hex(6)}"
    if kind == "account":
        session, family = str(uuid4()), secrets.token_hex(32)
        rows(
            url,
            f"INSERT INTO users (id) VALUES ('{user_id}');"
            " INSERT INTO accounts (user_id, email, password_hash)"
            f" VALUES ('{user_id}', '{user_id}@example.com', '{password_hash}');"
            " INSERT INTO sessions (user_id, id, family, digest, created_at, refreshed_at, expires_at)"
            f" VALUES ('{user_id}', '{session}', '{family}', '{family}', now(), now(), now() + interval '30 days')",
        )
        return issuer.issue(user_id, session)
    if kind == "key":
        key = api_keys.make()
        rows(
            url,
            f"INSERT INTO users (id, api_keys) VALUES ('{user_id}', 1);"
            " INSERT INTO api_keys (user_id, id, name, scopes, hint, digest, created_at)"
            f" VALUES ('{user_id}', gen_random_uuid(), 'Theirs', ARRAY{[*KEY_SCOPES]}, '{api_keys.hint(key)}',"
            f" '{sha256(key.encode()).hexdigest()}', now())",
        )
        return key
    return issuer.issue(user_id)
