"""Sessions: what a sign-in begins and refresh tokens keep going.

A refresh token is `tdr_` and two secrets of 256 bits: the first stays the same for the whole session, the second is new with every
refresh. Of both the database has SHA-256 alone. So a token that the session has had before is told apart from one that
nobody ever issued, and ends the session, without any used token being kept.
"""

from hashlib import sha256
from secrets import token_urlsafe
from typing import Any, NamedTuple

from sqlalchemy import DateTime, Integer, Text, and_, delete, func, literal_column, not_, select, update
from sqlalchemy import Uuid as UuidType
from sqlalchemy.dialects.postgresql import insert
from uuid_utils import uuid7

from todo_api import guards
from todo_api.accounts.statements import LOCK
from todo_api.database import Database, Scopes, Statement, delete_expired, given
from todo_api.errors import InvalidRefreshToken
from todo_api.models import accounts, sessions

MOST = 20
"""How many sessions a user has: each further one ends that which was not refreshed for the longest time."""

PREFIX = "tdr_"
"""What every refresh token begins with, so that people and scanners know it for a secret."""

_SECRET_LENGTH = 43
"""Of 32 bytes in base64url."""

_USER_ID = given("user_id", Text)
_SESSION_ID = given("session_id", UuidType)
_FAMILY = given("family", Text)
_DIGEST = given("digest", Text)
_EXPIRY = func.now() + given("lifetime", Integer) * literal_column("interval '1 second'")
_HOLDS = and_(sessions.c.digest == _DIGEST, sessions.c.expires_at > func.now())


class Session(NamedTuple):
    """A session that has just begun or gone on, with the refresh token to go on with next."""

    user_id: str
    id: str
    refresh_token: str


def _begin() -> Statement:
    """Where the password has changed since it was checked, there is no session. The user's row is locked against that."""
    account = (
        select(accounts.c.user_id)
        .where(accounts.c.user_id == _USER_ID, accounts.c.passwords == given("passwords", Integer))
        .cte("account")
    )
    kept = (
        select(sessions.c.id)
        .where(sessions.c.user_id == _USER_ID, sessions.c.expires_at > func.now())
        .order_by(sessions.c.refreshed_at.desc(), sessions.c.id.desc())
        .limit(MOST - 1)
    )
    surplus = delete(sessions).where(sessions.c.user_id == _USER_ID, sessions.c.id.not_in(kept)).cte("surplus")
    values = {
        sessions.c.user_id: account.c.user_id,
        sessions.c.id: _SESSION_ID,
        sessions.c.family: _FAMILY,
        sessions.c.digest: _DIGEST,
        sessions.c.created_at: func.now(),
        sessions.c.refreshed_at: func.now(),
        sessions.c.expires_at: _EXPIRY,
    }
    begun = insert(sessions).from_select(list(values), select(*values.values())).returning(sessions.c.id)
    return Statement(begun.add_cte(surplus))


def _refresh() -> Statement:
    """The row of a refresh that goes on, none where the session has ended. What does not hold ends it, in the same statement.

    The lock makes the second of two that refresh at once see what the first has done, and so end the session.
    """
    session = (
        select(sessions.c.user_id, sessions.c.id, _HOLDS.label("holds"))
        .where(sessions.c.family == _FAMILY)
        .with_for_update()
        .cte("session")
    )
    this = and_(sessions.c.user_id == session.c.user_id, sessions.c.id == session.c.id)
    ended = delete(sessions).where(this, not_(session.c.holds)).cte("ended")
    return Statement(
        update(sessions)
        .where(this, session.c.holds)
        .values(digest=given("next_digest", Text), refreshed_at=func.now(), expires_at=_EXPIRY)
        .returning(sessions.c.user_id, sessions.c.id)
        .add_cte(ended)
    )


def _end_all() -> Statement:
    """Ends all of the user's sessions, where this one is as it was found: neither ended nor refreshed since."""
    me = guards.locked()
    this = (
        select(me.c.id)
        .where(
            sessions.c.user_id == me.c.id,
            sessions.c.user_id == _USER_ID,
            sessions.c.id == _SESSION_ID,
            sessions.c.refreshed_at == given("refreshed_at", DateTime(timezone=True)),
        )
        .with_for_update(of=sessions)
        .cte("this")
    )
    ended = delete(sessions).where(sessions.c.user_id == _USER_ID, sessions.c.user_id == this.c.id)
    return Statement(ended.returning(sessions.c.id))


_BEGIN = _begin()
_REFRESH = _refresh()
_FIND = Statement(
    select(sessions.c.user_id, sessions.c.id, sessions.c.refreshed_at).where(sessions.c.family == _FAMILY, _HOLDS)
)
_IS_ALIVE = Statement(
    select(sessions.c.user_id).where(sessions.c.family == _FAMILY, sessions.c.expires_at > func.now())
)
_END = Statement(delete(sessions).where(sessions.c.family == _FAMILY).returning(sessions.c.user_id))
_END_ALL = _end_all()
_END_OTHERS = Statement(
    delete(sessions)
    .where(sessions.c.user_id == _USER_ID, sessions.c.id.is_distinct_from(_SESSION_ID))
    .returning(sessions.c.id)
)
_PURGE = delete_expired(sessions, sessions.c.expires_at < func.now())


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
        begun = scope.first(_BEGIN, parameters)
    return Session(user_id, session_id, token) if begun is not None else None


def refresh(database: Scopes, token: str, lifetime: int) -> Session:
    """The session of a refresh token, `lifetime` seconds longer, with the next refresh token.

    Raises InvalidRefreshToken. A token that was refreshed before ends its session.
    """
    successor = token[:-_SECRET_LENGTH] + token_urlsafe()
    parameters = {"next_digest": _digest(successor), "lifetime": lifetime, **_digests(token)}
    row = database.as_session(parameters["family"]).first(_REFRESH, parameters)
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
    row = session.first(_FIND, parameters) if everywhere else None
    if row is not None:
        found = dict(zip(("user_id", "session_id", "refreshed_at"), row, strict=True))
        if database.as_user(row[0]).all(_END_ALL, found):
            return True
    return session.all(_END, parameters) != []


def holder(database: Scopes, token: str) -> str | None:
    """The user whose session goes on with this refresh token, and with no other by now."""
    parameters = _digests(token)
    row = database.as_session(parameters["family"]).first(_FIND, parameters)
    return None if row is None else str(row[0])


def is_alive(database: Scopes, token: str) -> bool:
    """Whether the session that this refresh token was of has not ended."""
    parameters = _digests(token)
    return database.as_session(parameters["family"]).first(_IS_ALIVE, parameters) is not None


def end_others(database: Scopes, user_id: str, session_id: str | None) -> None:
    """Ends every session of the user but this one."""
    database.as_user(user_id).all(_END_OTHERS, {"user_id": user_id, "session_id": session_id})


def purge(database: Database) -> int:
    """Deletes sessions that have expired, a thousand at most, and says how many. Zero also where another process is at it.

    Raises Unavailable.
    """
    ((count,),) = database.as_purge().all(_PURGE, {})
    return int(count)


def _digests(token: str) -> dict[str, Any]:
    return {"family": _digest(token[:-_SECRET_LENGTH]), "digest": _digest(token)}


def _digest(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()
