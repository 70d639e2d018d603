"""SQL of API keys. Each write takes the user's next number, as all writes do."""

from functools import cache

from sqlalchemy import DateTime, Double, Text, Uuid, cast, delete, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY, insert

from todo_api import guards
from todo_api.database import Statement, param
from todo_api.models import MOST_KEYS, api_keys, users

USER_ID = param("user_id", Text)
KEY_ID = param("key_id", Uuid)
DIGEST = param("digest", Text)

_COLUMNS = (
    api_keys.c.id,
    api_keys.c.name,
    api_keys.c.scopes,
    api_keys.c.hint,
    api_keys.c.created_at,
    api_keys.c.expires_at,
    api_keys.c.last_used_at,
)


@cache
def create(by_session: bool) -> Statement:
    """Insert a key and count it under the lock of the user's row, which keeps the limit.

    With a session the user must have a row: the token of a deleted account makes no key.
    """
    me = guards.locked(session=True)
    counted = (
        update(users)
        .where(users.c.id == USER_ID, users.c.id == me.c.id, users.c.api_keys < MOST_KEYS)
        .values(seq=users.c.seq + 1, api_keys=users.c.api_keys + 1)
        .returning(func.clock_timestamp().label("at"))
        .cte("owner")
    )
    met = (
        insert(users)
        .values(id=USER_ID, seq=1, api_keys=1)
        .on_conflict_do_update(
            index_elements=[users.c.id],
            set_={"seq": users.c.seq + 1, "api_keys": users.c.api_keys + 1},
            where=users.c.api_keys < MOST_KEYS,
        )
        .returning(func.clock_timestamp().label("at"))
        .cte("owner")
    )
    owner = counted if by_session else met
    values = {
        api_keys.c.user_id: USER_ID,
        api_keys.c.id: KEY_ID,
        api_keys.c.name: param("name", Text),
        api_keys.c.scopes: param("scopes", ARRAY(Text)),
        api_keys.c.hint: param("hint", Text),
        api_keys.c.digest: DIGEST,
        api_keys.c.created_at: owner.c.at,
        api_keys.c.expires_at: param("expires_at", DateTime(timezone=True)),
    }
    return Statement(insert(api_keys).from_select(list(values), select(*values.values())).returning(*_COLUMNS))


@cache
def revoke(by_session: bool) -> Statement:
    """Delete a key. The user's row is locked first, as in all writes."""
    me = guards.locked(session=by_session)
    ended = (
        delete(api_keys)
        .where(api_keys.c.user_id == me.c.id, api_keys.c.user_id == USER_ID, api_keys.c.id == KEY_ID)
        .returning(api_keys.c.user_id)
        .cte("ended")
    )
    counted = (
        update(users)
        .values(seq=users.c.seq + 1, api_keys=users.c.api_keys - 1)
        .where(users.c.id == USER_ID, users.c.id == ended.c.user_id)
    )
    return Statement(counted.returning(users.c.seq))


def _revoke_all() -> Statement:
    """Delete every key of the user, whose row is locked; returns their number."""
    ended = delete(api_keys).where(api_keys.c.user_id == USER_ID).returning(api_keys.c.id).cte("ended")
    number = select(func.count()).select_from(ended).scalar_subquery()
    return Statement(update(users).where(users.c.id == USER_ID).values(api_keys=0).returning(number))


def _find() -> Statement:
    """Find a key and record its use once a minute. It waits for no lock."""
    now = func.clock_timestamp()
    due = (
        select(api_keys.c.user_id, api_keys.c.id)
        .where(
            api_keys.c.digest == DIGEST,
            or_(api_keys.c.last_used_at.is_(None), api_keys.c.last_used_at < now - text("interval '1 minute'")),
            or_(api_keys.c.expires_at.is_(None), api_keys.c.expires_at > now),
        )
        .with_for_update(skip_locked=True, key_share=True)
        .cte("due")
    )
    noted = (
        update(api_keys)
        .values(last_used_at=now)
        .where(api_keys.c.user_id == due.c.user_id, api_keys.c.id == due.c.id)
        .cte("noted")
    )
    return Statement(
        select(
            api_keys.c.user_id,
            api_keys.c.id,
            cast(func.extract("epoch", api_keys.c.created_at), Double),
            cast(func.extract("epoch", api_keys.c.expires_at), Double),
            api_keys.c.expires_at <= now,
            api_keys.c.scopes,
        )
        .where(api_keys.c.digest == DIGEST)
        .add_cte(noted)
    )


def _list(by_session: bool) -> Statement:
    """List keys.

    A user without keys has one row of nulls; without user or session there is none.
    """
    return Statement(
        select(*_COLUMNS)
        .select_from(users.outerjoin(api_keys, api_keys.c.user_id == users.c.id))
        .where(users.c.id == USER_ID, *([guards.session_exists()] if by_session else []))
        .order_by(api_keys.c.created_at.desc(), api_keys.c.id.desc())
        .limit(MOST_KEYS)
    )


LIST = {by_session: _list(by_session) for by_session in (False, True)}
REVOKE_ALL = _revoke_all()
COUNT = Statement(select(users.c.api_keys).where(users.c.id == USER_ID))
FIND = _find()
