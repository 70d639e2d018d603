"""SQL of sessions."""

from sqlalchemy import DateTime, Integer, Text, Uuid, and_, delete, func, literal_column, not_, select, update
from sqlalchemy.dialects.postgresql import insert

from todo_api import guards
from todo_api.database import Statement, delete_expired, param
from todo_api.models import accounts, sessions

MOST = 20
"""Maximum number of sessions of a user. A further one ends the least recently refreshed."""

AT_ONCE = 500
"""Maximum number of sessions that an export reads at a time."""

_USER_ID = param("user_id", Text)
_SESSION_ID = param("session_id", Uuid)
_FAMILY = param("family", Text)
_DIGEST = param("digest", Text)
_EXPIRY = func.now() + param("lifetime", Integer) * literal_column("interval '1 second'")
_HOLDS = and_(sessions.c.digest == _DIGEST, sessions.c.expires_at > func.now())


def _begin() -> Statement:
    """Insert a session unless the password has changed. A lock of the user's row prevents that."""
    account = (
        select(accounts.c.user_id)
        .where(accounts.c.user_id == _USER_ID, accounts.c.passwords == param("passwords", Integer))
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
    """Refresh a session, or end it if the token is not its current one.

    The lock makes the second of two concurrent refreshes see the first, and so end the session.
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
        .values(digest=param("next_digest", Text), refreshed_at=func.now(), expires_at=_EXPIRY)
        .returning(sessions.c.user_id, sessions.c.id)
        .add_cte(ended)
    )


def _end_all() -> Statement:
    """End all sessions of the user if this one is unchanged."""
    me = guards.locked()
    this = (
        select(me.c.id)
        .where(
            sessions.c.user_id == me.c.id,
            sessions.c.user_id == _USER_ID,
            sessions.c.id == _SESSION_ID,
            sessions.c.refreshed_at == param("refreshed_at", DateTime(timezone=True)),
        )
        .with_for_update(of=sessions)
        .cte("this")
    )
    ended = delete(sessions).where(sessions.c.user_id == _USER_ID, sessions.c.user_id == this.c.id)
    return Statement(ended.returning(sessions.c.id))


BEGIN = _begin()
REFRESH = _refresh()
FIND = Statement(
    select(sessions.c.user_id, sessions.c.id, sessions.c.refreshed_at).where(sessions.c.family == _FAMILY, _HOLDS)
)
IS_ALIVE = Statement(select(sessions.c.user_id).where(sessions.c.family == _FAMILY, sessions.c.expires_at > func.now()))
END = Statement(delete(sessions).where(sessions.c.family == _FAMILY).returning(sessions.c.user_id))
END_ALL = _end_all()
END_OTHERS = Statement(
    delete(sessions)
    .where(sessions.c.user_id == _USER_ID, sessions.c.id.is_distinct_from(_SESSION_ID))
    .returning(sessions.c.id)
)
PURGE = delete_expired(sessions, sessions.c.expires_at < func.now())
BATCH = Statement(
    select(sessions.c.id, sessions.c.created_at, sessions.c.refreshed_at, sessions.c.expires_at)
    .where(sessions.c.user_id == _USER_ID, sessions.c.id > param("after", Uuid))
    .order_by(sessions.c.id)
    .limit(AT_ONCE)
)
