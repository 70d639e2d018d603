"""API keys of a user, and authentication by a key."""

import math
from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

from uuid_utils import uuid7

from todo_api import guards
from todo_api.api_keys import secret as secrets
from todo_api.api_keys import statements
from todo_api.auth import Identity
from todo_api.database import RoleSession, RoleSessions
from todo_api.errors import ConstraintViolated, NotFound, TooManyKeys, Unauthorized, ValidationFailed, Violation
from todo_api.guards import Caller
from todo_api.models import KEY_SCOPES


class ApiKey(NamedTuple):
    """A key without its secret. Its id is the text of a UUID, times are in UTC.

    `last_used_at` is accurate to a minute.
    """

    id: str
    name: str
    scopes: list[str]
    hint: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None


class KeysLeft(NamedTuple):
    """The number of API keys that the user still has, and of those just revoked."""

    api_keys: int
    revoked_keys: int


def find(as_key: Callable[[str], RoleSession], digest: str) -> Identity:
    """Return the identity of the key with this digest. Raise Unauthorized if unknown or expired.

    `as_key` makes the session that sees only this key.
    """
    row = as_key(digest).fetch_one(statements.FIND, {"digest": digest})
    if row is None:
        raise guards.key_gone()
    user_id, key_id, created, expires, expired, scopes = row
    if expired:
        raise Unauthorized("The API key has expired.", token_sent=True, cause="key_expired")
    return Identity(
        user_id, created, math.inf if expires is None else expires, scopes=frozenset(scopes), key=str(key_id)
    )


def count_or_revoke(database: RoleSessions, user_id: str, *, revoke: bool) -> KeysLeft:
    """Count the keys of the user, or with `revoke` revoke all of them.

    The transaction must hold the lock of the user's row.
    """
    as_user, parameters = database.as_user(user_id), {"user_id": user_id}
    if revoke:
        ((revoked,),) = as_user.fetch_all(statements.REVOKE_ALL, parameters)
        return KeysLeft(0, int(revoked))
    ((number,),) = as_user.fetch_all(statements.COUNT, parameters)
    return KeysLeft(int(number), 0)


class KeyService:
    """API keys of a user. Every method raises Unauthorized if the caller's credential is gone."""

    def __init__(self, database: RoleSessions, user_id: str, caller: Caller) -> None:
        self._db = database.as_user(user_id)
        self._caller = caller
        self._by_session = caller.by_session
        self._user_id = user_id

    def create(self, name: str, scopes: list[str], expires_at: datetime | None) -> tuple[ApiKey, str]:
        """Return the new key and its secret, which is not stored.

        Raise TooManyKeys, or ValidationFailed if it has already expired.
        """
        secret = secrets.make()
        parameters: dict[str, Any] = {
            **self._parameters(),
            "key_id": str(uuid7()),
            "name": name,
            "scopes": [scope for scope in KEY_SCOPES if scope in scopes],
            "hint": secrets.hint(secret),
            "digest": secrets.digest(secret),
            "expires_at": expires_at,
        }
        try:
            row = self._db.fetch_one(statements.create(self._by_session), parameters)
        except ConstraintViolated as error:
            if error.constraint == "api_keys_expiry_later_check":
                raise ValidationFailed(
                    [Violation("body", "/expires_at", "too_small", "Must be later than now.")]
                ) from error
            raise
        if row is None:
            self._caller.check(self._db, self._user_id, session=True)
            raise TooManyKeys
        return ApiKey._make(row), secret

    def list(self) -> list[ApiKey]:
        """Return every key, newest first."""
        rows = self._db.fetch_all(statements.LIST[self._by_session], self._parameters())
        if not rows:
            self._caller.check(self._db, self._user_id, session=True)
        return [ApiKey._make(row) for row in rows if row[0] is not None]

    def revoke(self, key_id: str) -> None:
        """Revoke a key. Raise NotFound."""
        if self._db.fetch_one(statements.revoke(self._by_session), self._parameters() | {"key_id": key_id}) is None:
            self._caller.check(self._db, self._user_id, session=True)
            raise NotFound("There is no such API key in your space.")

    def _parameters(self) -> dict[str, Any]:
        return {"user_id": self._user_id, **self._caller.values}
