"""What must still be there when a write runs: the user's row, and the API key or session that the caller's token stands on.

Authentication looks before the statement runs. A key that is revoked, a session that ends or an account that is deleted in
between is found out by the statement itself: it locks the user's row, then the key or the session, and writes where both
are there. Every write locks in this order, so two of them never wait for each other.
"""

from typing import NamedTuple

from sqlalchemy import CTE, ColumnElement, Table, Text, Uuid, and_, func, select

from todo_api.database import Scope, Statement, given
from todo_api.errors import Unauthorized
from todo_api.models import api_keys, sessions, users

_USER_ID = given("user_id", Text)
_KEY_ID = given("caller_key", Uuid)
_SESSION_ID = given("caller_session", Uuid)


class Caller(NamedTuple):
    """What a caller's token stands on.

    A session token or an API key is dead without its user's row. With an external issuer's token, or one that an operator
    made, a user who has no row gets one with the first write.
    """

    registered: bool = False
    key: str | None = None
    session: str | None = None

    @property
    def by_key(self) -> bool:
        """Whether a write looks for the API key."""
        return self.key is not None

    @property
    def by_session(self) -> bool:
        """Whether an operation on credentials looks for the session; no other operation does."""
        return self.session is not None

    @property
    def values(self) -> dict[str, str | None]:
        """The parameters of a statement that looks for either."""
        return {"caller_key": self.key, "caller_session": self.session}

    def check(self, scope: Scope, user_id: str, *, session: bool = False) -> None:
        """Raises Unauthorized where the user's row or the key is gone, or on request the session. For when a statement found nothing."""
        looked_for = api_keys if self.by_key else sessions if session and self.by_session else None
        if not self.registered and looked_for is None:
            return
        user, standing = scope.first(_STANDINGS[looked_for], {"user_id": user_id, **self.values}) or (None, None)
        if self.by_key and standing is None:
            raise key_gone()
        if user is None:
            raise gone()
        if standing is None:
            raise session_gone()


UNREGISTERED = Caller()
"""Whoever needs no row: each user of an external issuer, and of an operator's tokens."""


def locked(*conditions: ColumnElement[bool], key: bool = False, session: bool = False) -> CTE:
    """The user's row, locked, with its id: where it meets the conditions, and what the caller's token stands on is there.

    The lock leaves alone the references to the row that other tables make.
    """
    me = select(users.c.id).where(users.c.id == _USER_ID, *conditions).with_for_update(key_share=True)
    if not key and not session:
        return me.cte("me")
    user, table = me.cte("user_row"), api_keys if key else sessions
    held = select(user.c.id).where(table.c.user_id == user.c.id, *_NAMED[table])
    return held.with_for_update(read=True, key_share=True, of=table).cte("me")


def session_is_there() -> ColumnElement[bool]:
    """The condition of a statement that only reads."""
    return select(sessions.c.id).where(*_NAMED[sessions]).exists()


def gone() -> Unauthorized:
    """What is said of a token whose account was deleted."""
    return Unauthorized("The token is invalid.", token_sent=True, cause="account deleted")


def key_gone() -> Unauthorized:
    """What is said of an API key that is unknown or was revoked, with its user or alone."""
    return Unauthorized("The API key is unknown or has been revoked.", token_sent=True, cause="key_unknown")


def session_gone() -> Unauthorized:
    """What is said of a token whose session has ended, where that counts."""
    return Unauthorized("The session of the token has ended. Sign in again.", token_sent=True, cause="session ended")


_NAMED: dict[Table, tuple[ColumnElement[bool], ...]] = {
    api_keys: (api_keys.c.user_id == _USER_ID, api_keys.c.id == _KEY_ID),
    sessions: (sessions.c.user_id == _USER_ID, sessions.c.id == _SESSION_ID, sessions.c.expires_at > func.now()),
}


def _standing(table: Table | None) -> Statement:
    """One row of the user's id and that of what was looked for, null where that is gone; none where the user is."""
    if table is None:
        return Statement(select(users.c.id, users.c.id.label("same")).where(users.c.id == _USER_ID))
    found = users.outerjoin(table, and_(*_NAMED[table]))
    return Statement(select(users.c.id, table.c.id).select_from(found).where(users.c.id == _USER_ID))


_STANDINGS = {table: _standing(table) for table in (None, api_keys, sessions)}
