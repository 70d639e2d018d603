"""One-time tokens: whoever has one proves to have read the mail, or to have been given it by an operator.

A token is `tdo_` and a secret of 256 bits, of which the database has SHA-256 alone. It is used once, within an hour, and only while
the account has the e-mail address and, for a reset, the password that it had when the token was made.
"""

from enum import StrEnum
from hashlib import sha256
from secrets import token_urlsafe
from typing import NamedTuple

from uuid_utils import uuid7

from todo_api.accounts import recovery_statements as statements
from todo_api.database import Database, Scopes
from todo_api.errors import InvalidOneTimeToken

PREFIX = "tdo_"
"""What every token begins with, so that people and scanners know it for a secret."""


class Purpose(StrEnum):
    """What a token is good for."""

    RESET = "reset"
    VERIFY = "verify"


class FoundToken(NamedTuple):
    """Whose a token is, and its id."""

    user_id: str
    token_id: str


def issue(database: Scopes, user_id: str, email: str, purpose: Purpose) -> str | None:
    """Return a new token of the account. None if the account is gone or has another e-mail address."""
    token = PREFIX + token_urlsafe()
    parameters = {"user_id": user_id, "email": email, "id": str(uuid7()), "purpose": purpose, "digest": _digest(token)}
    return token if database.as_user(user_id).first(statements.ISSUE, parameters) is not None else None


def find(database: Scopes, token: str, purpose: Purpose) -> FoundToken:
    """Return whose token it is. Raise InvalidOneTimeToken. Whether it is still good, the statement that uses it finds out."""
    digest = _digest(token)
    row = database.as_one_time_token(digest).first(statements.FIND, {"digest": digest, "purpose": purpose})
    if row is None:
        raise InvalidOneTimeToken
    return FoundToken(*row)


def end_all(database: Scopes, user_id: str) -> None:
    """Delete every token of the user."""
    database.as_user(user_id).all(statements.END, {"user_id": user_id})


def purge(database: Database) -> int:
    """Delete tokens that have expired, a thousand at most. Return how many; zero if another process is at it."""
    ((count,),) = database.as_purge().all(statements.PURGE, {})
    return int(count)


def _digest(token: str) -> str:
    return sha256(token.encode()).hexdigest()
