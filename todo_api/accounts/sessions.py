"""Sessions: what a sign-in begins and refresh tokens keep going.

A refresh token is `tdr_` and two secrets of 256 bits: the first stays the same for the whole session, the second is new with every
refresh. Of both the database has SHA-256 alone. So a token that the session has had before is told apart from one that
nobody ever issued, and ends the session, without any used token being kept.
"""

from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from secrets import token_urlsafe
from typing import Any, NamedTuple

from uuid_utils import uuid7

from todo_api.accounts import session_statements as statements
from todo_api.accounts.statements import LOCK
from todo_api.database import Database, Scopes
from todo_api.errors import InvalidRefreshToken

PREFIX = "tdr_"
"""What every refresh token begins with, so that people and scanners know it for a secret."""

_SECRET_LENGTH = 43
"""Of 32 bytes in base64url."""


class Session(NamedTuple):
    """A session that has just begun or gone on, with the refresh token to go on with next."""

    user_id: str
    id: str
    refresh_token: str


class SessionRecord(NamedTuple):
    """A session without what opens it. Times are in UTC."""

    id: str
    created_at: datetime
    refreshed_at: datetime
    expires_at: datetime


def begin(database: Scopes, user_id: str, passwords: int, lifetime: int) -> Session | None:
    """A new session, `lifetime` seconds long unless it is refreshed. None where the account has had more than `passwords` by now."""
    family = PREFIX + token_urlsafe()
    token = family + token_urlsafe()
    session_id = str(uuid7())
    parameters = {
        "user_id": user_id,
        "session_id": session_id,
        "passwords": passwords,
        "lifetime": lifetime,
        **_digests(token),
    }
    with database.transaction() as transaction:
        scope = transaction.as_user(user_id)
        # The lock first: the statement after it sees every session and the password as they are.
        scope.all(LOCK, {"user_id": user_id})
        begun = scope.first(statements.BEGIN, parameters)
    return Session(user_id, session_id, token) if begun is not None else None


def refresh(database: Scopes, token: str, lifetime: int) -> Session:
    """The session of a refresh token, `lifetime` seconds longer, with the next refresh token.

    Raises InvalidRefreshToken. A token that was refreshed before ends its session.
    """
    successor = token[:-_SECRET_LENGTH] + token_urlsafe()
    parameters = {"next_digest": _digest(successor), "lifetime": lifetime, **_digests(token)}
    row = database.as_session(parameters["family"]).first(statements.REFRESH, parameters)
    if row is None:
        raise InvalidRefreshToken
    user_id, session_id = row
    return Session(user_id, session_id, successor)


def end(database: Scopes, token: str, everywhere: bool) -> bool:
    """Ends the session of a refresh token, where there is one; `everywhere`, where the token still holds, all of its user.

    Says whether there was one.
    """
    parameters = _digests(token)
    session = database.as_session(parameters["family"])
    row = session.first(statements.FIND, parameters) if everywhere else None
    if row is not None:
        found = dict(zip(("user_id", "session_id", "refreshed_at"), row, strict=True))
        if database.as_user(row[0]).all(statements.END_ALL, found):
            return True
    return session.all(statements.END, parameters) != []


def holder(database: Scopes, token: str) -> str | None:
    """The user whose session goes on with this refresh token, and with no other by now."""
    parameters = _digests(token)
    row = database.as_session(parameters["family"]).first(statements.FIND, parameters)
    return None if row is None else str(row[0])


def is_alive(database: Scopes, token: str) -> bool:
    """Whether the session that this refresh token was of has not ended."""
    parameters = _digests(token)
    return database.as_session(parameters["family"]).first(statements.IS_ALIVE, parameters) is not None


def end_others(database: Scopes, user_id: str, session_id: str | None) -> int:
    """End every session of the user but this one, if there is one to be kept. Return how many."""
    return len(database.as_user(user_id).all(statements.END_OTHERS, {"user_id": user_id, "session_id": session_id}))


def purge(database: Database) -> int:
    """Deletes sessions that have expired, a thousand at most, and says how many. Zero also where another process is at it.

    Raises Unavailable.
    """
    ((count,),) = database.as_purge().all(statements.PURGE, {})
    return int(count)


def batch(database: Scopes, user_id: str, after: str) -> Sequence[SessionRecord]:
    """Some of the user's sessions in the order of their ids, after that one. None after the last."""
    rows = database.as_user(user_id).all(statements.BATCH, {"user_id": user_id, "after": after})
    return [SessionRecord._make(row) for row in rows]


def _digests(token: str) -> dict[str, Any]:
    return {"family": _digest(token[:-_SECRET_LENGTH]), "digest": _digest(token)}


def _digest(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()
