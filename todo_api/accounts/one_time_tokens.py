"""One-time tokens. They prove access to the mailbox, or were given out by an operator.

A token is `tdo_` and a secret of 256 bits, of which the database has only SHA-256. It is valid
once, for an hour, and while the account has the e-mail address and, for a reset, the password that
it had when the token was made.
"""

from enum import StrEnum
from hashlib import sha256
from secrets import token_urlsafe
from typing import NamedTuple

from uuid_utils import uuid7

from todo_api.accounts import recovery_statements as statements
from todo_api.database import Database, RoleSessions
from todo_api.errors import InvalidOneTimeToken

PREFIX = "tdo_"
"""Prefix of the tokens, by which people and scanners recognize a secret."""


class Purpose(StrEnum):
    """Purposes of a one-time token."""

    RESET = "reset"
    VERIFY = "verify"


class FoundToken(NamedTuple):
    """User and id of a token."""

    user_id: str
    token_id: str


def issue(database: RoleSessions, user_id: str, email: str, purpose: Purpose) -> str | None:
    """Return a new token of the account. None if it is gone or its e-mail address has changed."""
    token = PREFIX + token_urlsafe()
    parameters = {"user_id": user_id, "email": email, "id": str(uuid7()), "purpose": purpose, "digest": _digest(token)}
    return token if database.as_user(user_id).fetch_one(statements.ISSUE, parameters) is not None else None


def find(database: RoleSessions, token: str, purpose: Purpose) -> FoundToken:
    """Return the token's user.

    Raise InvalidOneTimeToken. The statement that uses it checks its validity.
    """
    digest = _digest(token)
    row = database.as_one_time_token(digest).fetch_one(statements.FIND, {"digest": digest, "purpose": purpose})
    if row is None:
        raise InvalidOneTimeToken
    return FoundToken(*row)


def end_all(database: RoleSessions, user_id: str) -> None:
    """Delete every token of the user."""
    database.as_user(user_id).fetch_all(statements.END, {"user_id": user_id})


def purge(database: Database) -> int:
    """Delete expired tokens, a thousand at most.

    Return their number, zero if another process purges.
    """
    ((count,),) = database.as_purge().fetch_all(statements.PURGE, {})
    return int(count)


def _digest(token: str) -> str:
    return sha256(token.encode()).hexdigest()
