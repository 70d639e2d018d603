"""SQL of stored replies: those of users, and those to requests before a user is known."""

from typing import NamedTuple

from sqlalchemy import (
    ColumnElement,
    LargeBinary,
    Table,
    Text,
    and_,
    delete,
    exists,
    func,
    literal_column,
    select,
)
from sqlalchemy.dialects.postgresql import insert

from todo_api.database import Statement, delete_expired, param
from todo_api.models import REPLIES_KEPT, anonymous_replies, idempotent_replies, users

MOST_REPLIES = 10000
"""Maximum number of stored replies of a user, the newest. It may be exceeded for a while."""

TRIMMED_BY = 256
"""One request in so many, by chance, deletes the user's replies above `MOST_REPLIES`."""

_OLD = func.now() - literal_column(f"interval '{REPLIES_KEPT}'")

_USER_ID = param("user_id", Text)
_KEY = param("key", LargeBinary)
_REQUEST = param("request", LargeBinary)
_REPLY = param("reply", LargeBinary)
_ANONYMOUS_REQUEST = param("request", Text)


def _find(table: Table, same: ColumnElement[bool], *mine: ColumnElement[bool]) -> Statement:
    """Return one row: claimed, reply, whether it is to the same request, whether it is too old.

    Without a stored reply all but the first are null.
    """
    one = select(literal_column("1").label("one")).subquery("one")
    return Statement(
        select(
            func.current_setting("app.claimed") == "true",
            table.c.reply,
            same,
            table.c.created_at < _OLD,
        ).select_from(one.outerjoin(table, and_(*mine)))
    )


def _trim() -> Statement:
    """Delete the user's oldest replies above `MOST_REPLIES`."""
    table = idempotent_replies
    newest = select(table.c.created_at).where(table.c.user_id == _USER_ID).order_by(table.c.created_at.desc())
    last = newest.offset(MOST_REPLIES - 1).limit(1).scalar_subquery()
    return Statement(
        delete(table).where(table.c.user_id == _USER_ID, table.c.created_at < last).returning(literal_column("1"))
    )


_MINE = (idempotent_replies.c.user_id == _USER_ID, idempotent_replies.c.key == _KEY)
_FIND = _find(idempotent_replies, idempotent_replies.c.request == _REQUEST, *_MINE)
_FORGET = Statement(delete(idempotent_replies).where(*_MINE).returning(literal_column("1")))
_KEEP = Statement(
    insert(idempotent_replies).from_select(
        ["user_id", "key", "request", "reply"],
        # Nothing is stored if the request has deleted the user.
        select(_USER_ID, _KEY, _REQUEST, _REPLY).where(exists(select(users.c.id).where(users.c.id == _USER_ID))),
    )
)
TRIM = _trim()

_SAME_REQUEST = anonymous_replies.c.request == _ANONYMOUS_REQUEST
_FIND_ANONYMOUS = _find(anonymous_replies, _SAME_REQUEST, _SAME_REQUEST)
_FORGET_ANONYMOUS = Statement(delete(anonymous_replies).where(_SAME_REQUEST).returning(literal_column("1")))
_KEEP_ANONYMOUS = Statement(insert(anonymous_replies).values(request=_ANONYMOUS_REQUEST, reply=_REPLY))

PURGES = tuple(delete_expired(table, table.c.created_at < _OLD) for table in (idempotent_replies, anonymous_replies))


class Statements(NamedTuple):
    """Statements on a table of replies."""

    find: Statement
    forget: Statement
    keep: Statement


OF_USER = Statements(_FIND, _FORGET, _KEEP)
OF_ANONYMOUS = Statements(_FIND_ANONYMOUS, _FORGET_ANONYMOUS, _KEEP_ANONYMOUS)
