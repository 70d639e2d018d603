"""Locks of the user's row, and of the API key or session of the caller's token.

Authentication happens before the statement. A key revoked, session ended or account deleted in
between is detected by the statement itself: it locks the user's row, then the key or session, and
writes only if both exist. All writes lock in this order, so they do not deadlock.
"""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    CTE,
    Boolean,
    Column,
    ColumnElement,
    Table,
    Text,
    Uuid,
    all_,
    and_,
    cast,
    func,
    literal_column,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY

from todo_api.database import RoleSession, Statement, param
from todo_api.errors import Unauthorized
from todo_api.models import api_keys, sessions, users

_UUID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_USER_ID = param("user_id", Text)
_KEY_ID = param("caller_key", Uuid)
_SESSION_ID = param("caller_session", Uuid)


class Caller(NamedTuple):
    """The credential of a caller.

    A session token or an API key is invalid without its user's row. A user of an external issuer,
    or of an operator's token, gets a row with their first write.
    """

    registered: bool = False
    key: str | None = None
    session: str | None = None
    is_system: bool = False

    @property
    def by_key(self) -> bool:
        """Return whether writes check the API key."""
        return self.key is not None

    @property
    def by_session(self) -> bool:
        """Return whether operations on credentials check the session."""
        return self.session is not None

    @property
    def actor(self) -> str | None:
        """Return kind and id of the credential, as the history tells them. Some have no id.

        Return None for the service itself.
        """
        if self.is_system:
            return None
        if self.key is not None:
            return f"api_key {self.key}"
        return f"token {self.session}" if self.session and _UUID.fullmatch(self.session) else "token"

    @property
    def values(self) -> dict[str, str | None]:
        """Return the parameters of statements that check either."""
        return {"caller_key": self.key, "caller_session": self.session}

    def check(self, as_user: RoleSession, user_id: str, *, session: bool = False) -> None:
        """Raise Unauthorized if the user's row or the key is gone, or with `session` the session.

        Call it when a statement found nothing. `as_user` is the database as that user.
        """
        looked_for = api_keys if self.by_key else sessions if session and self.by_session else None
        if not self.registered and looked_for is None:
            return
        user, standing = as_user.fetch_one(_STANDINGS[looked_for], {"user_id": user_id, **self.values}) or (None, None)
        if self.by_key and standing is None:
            raise key_gone()
        if user is None:
            raise gone()
        if standing is None:
            raise session_gone()


UNREGISTERED = Caller()
"""A caller that needs no row: users of an external issuer, and of an operator's tokens."""

SYSTEM = Caller(registered=True, is_system=True)
"""The service itself, for a user with a row."""


def locked(
    *conditions: ColumnElement[bool], key: bool = False, session: bool = False, columns: Sequence[Column[Any]] = ()
) -> CTE:
    """Return the locked user's row, if it meets the conditions and the credential exists.

    It has the id, and `columns` as they are once the lock is held, and with an API key its
    `key_name`. The lock does not block references to the row by other tables.
    """
    me = select(users.c.id, *columns).where(users.c.id == _USER_ID, *conditions).with_for_update(key_share=True)
    if not key and not session:
        return me.cte("me")
    user, table = me.cte("user_row"), api_keys if key else sessions
    name = [api_keys.c.name.label("key_name")] if key else []
    held = select(*user.c, *name).where(table.c.user_id == user.c.id, *_NAMED[table])
    return held.with_for_update(read=True, key_share=True, of=table).cte("me")


def numbered(*conditions: ColumnElement[bool], **values: Any) -> CTE:
    """Take the user's next number, if the conditions hold, and set further columns of their row.

    Return the number as `seq`, with the moment `at`. The row must be locked.
    """
    owner = update(users).where(users.c.id == _USER_ID, *conditions).values(seq=users.c.seq + 1, **values)
    return owner.returning(users.c.seq, func.clock_timestamp().label("at")).cte("owner")


def is_unknown() -> ColumnElement[bool]:
    """Return the condition that none of `known` is the user's epoch and number."""
    return cast(users.c.epoch, Text) + "-" + cast(users.c.seq, Text) != all_(param("known", ARRAY(Text)))


def permanently(permanent: bool) -> list[ColumnElement[str]]:
    """Return the columns to return by a statement that deletes, so that the trash gets nothing."""
    return [func.set_config("app.permanent", "on", literal_column("true"))] if permanent else []


def is_in_trash(kind: str, id_: ColumnElement[Any]) -> ColumnElement[bool]:
    """Return the condition that a task or project of the user is in the trash.

    Once the user's row is locked it is true to the moment: a function looks for itself.
    """
    return func.trash_has(_USER_ID, literal_column(f"'{kind}'"), id_, type_=Boolean)


def actor(key_name: ColumnElement[Any] | None = None) -> ColumnElement[str | None]:
    """Return who writes, with the name of the API key: null for the service itself."""
    kind_and_id: ColumnElement[str] = func.current_setting(literal_column("'app.actor'"), literal_column("true"))
    whole = kind_and_id if key_name is None else func.concat_ws(literal_column("' '"), kind_and_id, key_name)
    return func.nullif(whole, literal_column("''"), type_=Text)


def key_name() -> ColumnElement[Any]:
    """Return the name of the caller's API key, null without one."""
    return select(api_keys.c.name).where(*_NAMED[api_keys]).scalar_subquery()


def session_exists() -> ColumnElement[bool]:
    """Return the condition that the caller's session exists, for statements that only read."""
    return select(sessions.c.id).where(*_NAMED[sessions]).exists()


def gone() -> Unauthorized:
    """Return the error for a token of a deleted account."""
    return Unauthorized("The token is invalid.", token_sent=True, cause="account deleted")


def key_gone() -> Unauthorized:
    """Return the error for an API key that is unknown or revoked."""
    return Unauthorized("The API key is unknown or has been revoked.", token_sent=True, cause="key_unknown")


def session_gone() -> Unauthorized:
    """Return the error for a token whose session has ended."""
    return Unauthorized("The session of the token has ended. Sign in again.", token_sent=True, cause="session ended")


_NAMED: dict[Table, tuple[ColumnElement[bool], ...]] = {
    api_keys: (api_keys.c.user_id == _USER_ID, api_keys.c.id == _KEY_ID),
    sessions: (sessions.c.user_id == _USER_ID, sessions.c.id == _SESSION_ID, sessions.c.expires_at > func.now()),
}


def _standing(table: Table | None) -> Statement:
    """Return a statement for the ids of the user and the credential, null if it is gone."""
    if table is None:
        return Statement(select(users.c.id, users.c.id.label("same")).where(users.c.id == _USER_ID))
    found = users.outerjoin(table, and_(*_NAMED[table]))
    return Statement(select(users.c.id, table.c.id).select_from(found).where(users.c.id == _USER_ID))


_STANDINGS = {table: _standing(table) for table in (None, api_keys, sessions)}
