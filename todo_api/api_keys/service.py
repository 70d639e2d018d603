"""API keys: those of one user, and whom a key that was sent speaks for."""

import math
from collections.abc import Callable
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import DateTime, Double, Text, Uuid, cast, delete, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY, insert
from uuid_utils import uuid7

from todo_api import guards
from todo_api.api_keys import secret as secrets
from todo_api.auth import Identity
from todo_api.database import Scope, Scopes, Statement, given
from todo_api.errors import ConstraintViolated, NotFound, TooManyKeys, Unauthorized, ValidationFailed, Violation
from todo_api.guards import Caller
from todo_api.models import KEY_SCOPES, MOST_KEYS, api_keys, users

USER_ID = given("user_id", Text)
KEY_ID = given("key_id", Uuid)
DIGEST = given("digest", Text)

_COLUMNS = (
    api_keys.c.id,
    api_keys.c.name,
    api_keys.c.scopes,
    api_keys.c.hint,
    api_keys.c.created_at,
    api_keys.c.expires_at,
    api_keys.c.last_used_at,
)


class ApiKey(NamedTuple):
    """A key without its secret: its id as the text of a UUID, times in UTC. `last_used_at` is right to a minute."""

    id: str
    name: str
    scopes: list[str]
    hint: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None


class KeysLeft(NamedTuple):
    """How many API keys a user has, and how many were revoked just now."""

    api_keys: int
    revoked_keys: int


@cache
def _create(by_session: bool) -> Statement:
    """Counts the user's keys under the lock of the user's row, so that no two requests at once make one too many.

    Who has a session must have a row, and gets none here: the token of a deleted account makes no key, and no user.
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
        api_keys.c.name: given("name", Text),
        api_keys.c.scopes: given("scopes", ARRAY(Text)),
        api_keys.c.hint: given("hint", Text),
        api_keys.c.digest: DIGEST,
        api_keys.c.created_at: owner.c.at,
        api_keys.c.expires_at: given("expires_at", DateTime(timezone=True)),
    }
    return Statement(insert(api_keys).from_select(list(values), select(*values.values())).returning(*_COLUMNS))


@cache
def _revoke(by_session: bool) -> Statement:
    """Locks the user's row first, as whatever else writes there does."""
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
    """Ends every key of the user, whose row is locked. One row: how many there were."""
    ended = delete(api_keys).where(api_keys.c.user_id == USER_ID).returning(api_keys.c.id).cte("ended")
    number = select(func.count()).select_from(ended).scalar_subquery()
    return Statement(update(users).where(users.c.id == USER_ID).values(api_keys=0).returning(number))


def _find() -> Statement:
    """Notes the use where a minute has passed since the last one. Waits for nobody who is at the same row."""
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
    """One row of nothing where the user has no keys, and none where there is no user, or nothing that the caller's token stands on."""
    return Statement(
        select(*_COLUMNS)
        .select_from(users.outerjoin(api_keys, api_keys.c.user_id == users.c.id))
        .where(users.c.id == USER_ID, *([guards.session_is_there()] if by_session else []))
        .order_by(api_keys.c.created_at.desc(), api_keys.c.id.desc())
        .limit(MOST_KEYS)
    )


_LIST = {by_session: _list(by_session) for by_session in (False, True)}
_REVOKE_ALL = _revoke_all()
_COUNT = Statement(select(users.c.api_keys).where(users.c.id == USER_ID))
_FIND = _find()


def find(as_key: Callable[[str], Scope], digest: str) -> Identity:
    """Whom the key with this digest speaks for, and its scopes. Raises Unauthorized where it was revoked, has expired or never was."""
    row = as_key(digest).first(_FIND, {"digest": digest})
    if row is None:
        raise guards.key_gone()
    user_id, key_id, created, expires, expired, scopes = row
    if expired:
        raise Unauthorized("The API key has expired.", token_sent=True, cause="key_expired")
    return Identity(
        user_id, created, math.inf if expires is None else expires, scopes=frozenset(scopes), key=str(key_id)
    )


def count(database: Scopes, user_id: str, *, revoke: bool) -> KeysLeft:
    """How many keys the user has, after all of them were revoked or none. In a transaction that has locked the user's row."""
    scope, named = database.as_user(user_id), {"user_id": user_id}
    if revoke:
        ((revoked,),) = scope.all(_REVOKE_ALL, named)
        return KeysLeft(0, int(revoked))
    ((number,),) = scope.all(_COUNT, named)
    return KeysLeft(int(number), 0)


class KeyService:
    """The API keys of one user. Where what the caller's token stands on is gone, every method raises Unauthorized."""

    def __init__(self, database: Scopes, user_id: str, caller: Caller) -> None:
        self._scope = database.as_user(user_id)
        self._caller = caller
        self._by_session = caller.by_session
        self._user_id = user_id

    def create(self, name: str, scopes: list[str], expires_at: datetime | None) -> tuple[ApiKey, str]:
        """The new key and its secret, which nobody can have again. Raises TooManyKeys, and ValidationFailed for an end that is past."""
        secret = secrets.make()
        parameters: dict[str, Any] = {
            **self._named(),
            "key_id": str(uuid7()),
            "name": name,
            "scopes": [scope for scope in KEY_SCOPES if scope in scopes],
            "hint": secrets.hint(secret),
            "digest": secrets.digest(secret),
            "expires_at": expires_at,
        }
        try:
            row = self._scope.first(_create(self._by_session), parameters)
        except ConstraintViolated as error:
            if error.constraint == "api_keys_expiry_later_check":
                raise ValidationFailed(
                    [Violation("body", "/expires_at", "too_small", "Must be later than now.")]
                ) from error
            raise
        if row is None:
            self._caller.check(self._scope, self._user_id, session=True)
            raise TooManyKeys
        return ApiKey._make(row), secret

    def list(self) -> list[ApiKey]:
        """Every key, the newest first."""
        rows = self._scope.all(_LIST[self._by_session], self._named())
        if not rows:
            self._caller.check(self._scope, self._user_id, session=True)
        return [ApiKey._make(row) for row in rows if row[0] is not None]

    def revoke(self, key_id: str) -> None:
        """Ends a key for good. Raises NotFound."""
        if self._scope.first(_revoke(self._by_session), self._named() | {"key_id": key_id}) is None:
            self._caller.check(self._scope, self._user_id, session=True)
            raise NotFound("There is no such API key in your space.")

    def _named(self) -> dict[str, Any]:
        return {"user_id": self._user_id, **self._caller.values}
