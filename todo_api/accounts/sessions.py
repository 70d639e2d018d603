"""Sessions: a sign-in begins one, refresh tokens continue it.

A refresh token is `tdr_` and two secrets of 256 bits. The first one, the family, stays the same for
the whole session; the second one is new with each refresh. The database has only the SHA-256 of the
family and of the current token. A token of a known family that is not the current one was used
before, and ends the session. So used tokens need not be stored.
"""

from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from secrets import token_urlsafe
from typing import Any, NamedTuple

from uuid_utils import uuid7

from todo_api.accounts import session_statements as statements
from todo_api.accounts.statements import LOCK
from todo_api.database import Database, RoleSessions
from todo_api.errors import InvalidRefreshToken

PREFIX = "tdr_"
"""Prefix of refresh tokens, by which people and scanners recognize a secret."""

_SECRET_LENGTH = 43
"""Characters of a secret: 32 bytes in base64url."""


class Session(NamedTuple):
    """A session and its next refresh token."""

    user_id: str
    id: str
    refresh_token: str


class SessionRecord(NamedTuple):
    """A session without its secrets. Times are in UTC."""

    id: str
    created_at: datetime
    refreshed_at: datetime
    expires_at: datetime


def begin(database: RoleSessions, user_id: str, passwords: int, lifetime: int) -> Session | None:
    """Return a new session of `lifetime` seconds. None if the number of `passwords` has changed."""
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
        as_user = transaction.as_user(user_id)
        # The lock comes first, so that the next statement sees what its last holder committed.
        as_user.fetch_all(LOCK, {"user_id": user_id})
        begun = as_user.fetch_one(statements.BEGIN, parameters)
    return Session(user_id, session_id, token) if begun is not None else None


def refresh(database: RoleSessions, token: str, lifetime: int) -> Session:
    """Prolong the session of a refresh token, and return it with its next token.

    A used token ends its session. Raise InvalidRefreshToken.
    """
    successor = token[:-_SECRET_LENGTH] + token_urlsafe()
    parameters = {"next_digest": _digest(successor), "lifetime": lifetime, **_digests(token)}
    row = database.as_session(parameters["family"]).fetch_one(statements.REFRESH, parameters)
    if row is None:
        raise InvalidRefreshToken
    user_id, session_id = row
    return Session(user_id, session_id, successor)


def end(database: RoleSessions, token: str, everywhere: bool) -> bool:
    """End the session of a refresh token, or with `everywhere` all sessions of its user.

    Return whether there was one. A used token ends its own session only.
    """
    parameters = _digests(token)
    as_session = database.as_session(parameters["family"])
    current = as_session.fetch_one(statements.FIND, parameters) if everywhere else None
    if current is not None:
        user_id, session_id, refreshed_at = current
        found = {"user_id": user_id, "session_id": session_id, "refreshed_at": refreshed_at}
        if database.as_user(user_id).fetch_all(statements.END_ALL, found):
            return True
        # A concurrent refresh or sign-out was faster: the token is now a used one.
    return as_session.fetch_all(statements.END, parameters) != []


def holder(database: RoleSessions, token: str) -> str | None:
    """Return the user of the session if this is its current refresh token, else None."""
    parameters = _digests(token)
    row = database.as_session(parameters["family"]).fetch_one(statements.FIND, parameters)
    return None if row is None else str(row[0])


def is_alive(database: RoleSessions, token: str) -> bool:
    """Return whether the session of this refresh token exists. The token may be a used one."""
    parameters = _digests(token)
    return database.as_session(parameters["family"]).fetch_one(statements.IS_ALIVE, parameters) is not None


def end_others(database: RoleSessions, user_id: str, session_id: str | None) -> int:
    """End every session of the user except `session_id`, and return the number of ended ones."""
    return len(
        database.as_user(user_id).fetch_all(statements.END_OTHERS, {"user_id": user_id, "session_id": session_id})
    )


def purge(database: Database) -> int:
    """Delete expired sessions, a thousand at most, and return their number.

    Return zero if another process is purging. Raise Unavailable.
    """
    ((count,),) = database.as_purge().fetch_all(statements.PURGE, {})
    return int(count)


def batch(database: RoleSessions, user_id: str, after: str) -> Sequence[SessionRecord]:
    """Return the next sessions by id after the id `after`. After the last one there are none."""
    rows = database.as_user(user_id).fetch_all(statements.BATCH, {"user_id": user_id, "after": after})
    return [SessionRecord._make(row) for row in rows]


def _digests(token: str) -> dict[str, Any]:
    return {"family": _digest(token[:-_SECRET_LENGTH]), "digest": _digest(token)}


def _digest(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()
