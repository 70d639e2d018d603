"""Administration of accounts by operators: list, show, help back in, verify, sign out, delete."""

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from todo_api import api_keys
from todo_api.accounts import administration_statements, one_time_tokens, sessions, statements
from todo_api.accounts.one_time_tokens import Purpose
from todo_api.database import Database


class ListedUser(NamedTuple):
    """A user in the list. `email` is None without an account."""

    id: str
    email: str | None
    name: str | None
    created_at: datetime
    email_verified_at: datetime | None


class ShownUser(NamedTuple):
    """A user, and how much they own."""

    id: str
    email: str | None
    name: str | None
    created_at: datetime
    updated_at: datetime
    email_verified_at: datetime | None
    tasks: int
    api_keys: int
    sessions: int


class Ended(NamedTuple):
    """Numbers of ended sessions and revoked API keys."""

    sessions: int
    api_keys: int


class Administration:
    """Users of a database. Statements run as the service's roles, under row-level security."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def list(self) -> Iterator[ListedUser]:
        """Yield every user by id, read in batches."""
        after = ""
        while rows := self._database.as_operator().fetch_all(administration_statements.LIST, {"after": after}):
            after = rows[-1][0]
            yield from map(ListedUser._make, rows)

    def show(self, name: str) -> ShownUser | None:
        """Return the user with this id or, in any case, this e-mail address."""
        email = name.lower()
        found = self._database.as_login(email).fetch_one(administration_statements.FIND_BY_EMAIL, {"email": email})
        user_id = name if found is None else str(found[0])
        row = self._database.as_user(user_id).fetch_one(administration_statements.SHOW, {"user_id": user_id})
        return None if row is None else ShownUser._make(row)

    def issue_reset_token(self, user: ShownUser) -> str | None:
        """Return a token to set another password. None without an account, or if it has changed."""
        if user.email is None:
            return None
        return one_time_tokens.issue(self._database, user.id, user.email, Purpose.RESET)

    def verify_email(self, user_id: str, email: str) -> bool:
        """Note that the address is the user's. Return False if the account has changed."""
        values = {"user_id": user_id, "email": email}
        return self._database.as_user(user_id).fetch_one(administration_statements.VERIFY, values) is not None

    def sign_out(self, user: ShownUser, *, revoke_keys: bool) -> Ended:
        """End every session of the user and, on request, revoke every API key."""
        with self._database.transaction() as transaction:
            transaction.as_user(user.id).fetch_all(statements.LOCK, {"user_id": user.id})
            ended = sessions.end_others(transaction, user.id, None)
            keys = api_keys.count_or_revoke(transaction, user.id, revoke=revoke_keys)
        return Ended(ended, keys.revoked_keys)

    def delete(self, user: ShownUser) -> bool:
        """Delete the user and everything they own. Return whether there was one."""
        return self._database.as_user(user.id).fetch_one(statements.DELETE, {"user_id": user.id}) is not None
