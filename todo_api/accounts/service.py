"""Accounts: registration and sign-in, before a user is known, and what a user may see of theirs."""

from datetime import datetime
from typing import Any, NamedTuple

from uuid_utils import uuid7

from todo_api import api_keys
from todo_api.accounts import sessions, statements
from todo_api.accounts.passwords import Passwords, normalized, usable
from todo_api.accounts.sessions import Session
from todo_api.api_keys import KeysLeft
from todo_api.database import Row, Scopes, Statement
from todo_api.errors import (
    ConstraintViolated,
    EmailTaken,
    InvalidCredentials,
    PreconditionFailed,
    Unavailable,
    WrongPassword,
)
from todo_api.etags import AccountCondition, space_tag
from todo_api.guards import Caller, gone

_ATTEMPTS = 5


class Account(NamedTuple):
    """What the service knows of a user. Times are in UTC; `email` is None for users of an external issuer."""

    id: str
    email: str | None
    name: str | None
    created_at: datetime
    updated_at: datetime
    version: int
    epoch: int

    @property
    def tag(self) -> str:
        """Its entity tag."""
        return space_tag(self.id, self.epoch, self.version)


def register(database: Scopes, passwords: Passwords, email: str, password: str, name: str | None) -> Account:
    """The new account. Raises EmailTaken, and ValidationFailed for one of the commonest passwords."""
    password = usable(passwords, password, "/password")
    email = email.lower()
    try:
        row = database.as_login(email).first(
            statements.REGISTER,
            {"user_id": str(uuid7()), "email": email, "name": name, "password_hash": passwords.hash(password)},
        )
    except ConstraintViolated as error:
        if error.constraint == "accounts_email_key":
            raise EmailTaken from error
        raise
    return _account(row)


def sign_in(database: Scopes, passwords: Passwords, email: str, password: str, lifetime: int) -> Session:
    """A new session of the user with this e-mail address and password, `lifetime` seconds long unless it is refreshed.

    Raises InvalidCredentials, after the same time for an unknown address and for a wrong password.
    """
    email = email.lower()
    row = database.as_login(email).first(statements.FIND, {"email": email})
    user_id, password_hash, count = row if row is not None else (None, passwords.decoy, 0)
    if not passwords.verify(password_hash, normalized(password)) or user_id is None:
        raise InvalidCredentials
    session = sessions.begin(database, user_id, count, lifetime)
    if session is None:
        raise InvalidCredentials  # the password was changed, or the account deleted, while it was checked
    return session


def holds(database: Scopes, passwords: Passwords, email: str, password: str, refresh_token: str) -> bool:
    """Whether a sign-in of before is still good: its session goes on where it was, and the password would sign in now."""
    user_id = sessions.holder(database, refresh_token)
    if user_id is None:
        return False
    row = database.as_login(email.lower()).first(statements.FIND, {"email": email.lower()})
    return row is not None and row[0] == user_id and passwords.verify(row[1], normalized(password))


def is_there(database: Scopes, user_id: str) -> bool:
    """Whether the account is there."""
    return database.as_user(user_id).first(statements.GET, {"user_id": user_id}) is not None


class AccountService:
    """The account of one user. Where the user must have a row and it is gone, every method raises Unauthorized.

    The operations that a password confirms look for the caller's session too, in the statement that writes. Any other user who
    is met for the first time gets a row.
    """

    def __init__(self, database: Scopes, user_id: str, caller: Caller) -> None:
        self._database = database
        self._scope = database.as_user(user_id)
        self._user_id = user_id
        self._caller = caller

    def get(self) -> Account:
        """The account. Raises Unauthorized where it was deleted."""
        return self._find() or _account(self._scope.first(statements.MEET, self._named()))

    def rename(self, name: str | None, condition: AccountCondition | None) -> Account:
        """The account with that name, or none. Raises PreconditionFailed, Unauthorized."""
        statement = statements.rename(condition is not None, self._caller.by_key)
        return self._written(statement, {"name": name}, condition)

    def change_email(
        self, passwords: Passwords, password: str, email: str, condition: AccountCondition | None
    ) -> Account:
        """The account with that e-mail address. Raises WrongPassword, EmailTaken, PreconditionFailed, Unauthorized."""
        count = self._check(passwords, password)
        parameters = {"email": email.lower(), "passwords": count}
        statement = statements.change_email(condition is not None, self._caller.by_session)
        try:
            return self._written(statement, parameters, condition)
        except ConstraintViolated as error:
            if error.constraint == "accounts_email_key":
                raise EmailTaken from error
            raise

    def change_password(self, passwords: Passwords, current: str, new: str, *, revoke_keys: bool) -> KeysLeft:
        """Sets the password, and ends every other session than the caller's and, on request, every API key.

        Raises WrongPassword, ValidationFailed, Unauthorized.
        """
        count = self._check(passwords, current)
        new = usable(passwords, new, "/new_password")
        parameters = {"password_hash": passwords.hash(new), "passwords": count}
        with self._database.transaction() as transaction:
            account = AccountService(transaction, self._user_id, self._caller)
            account._written(statements.change_password(self._caller.by_session), parameters, None)
            # After it, in statements of their own: they see what a sign-in has begun that held the user's row until now.
            sessions.end_others(transaction, self._user_id, self._caller.session)
            return api_keys.count(transaction, self._user_id, revoke=revoke_keys)

    def delete(self, passwords: Passwords, password: str) -> None:
        """Deletes the user and everything that is theirs. Raises WrongPassword, Unauthorized.

        Whoever needs no row has nothing left to delete where another request was faster.
        """
        try:
            self._delete(self._check(passwords, password))
        except WrongPassword:
            if self._find() is not None:
                raise

    def _delete(self, count: int) -> None:
        statement = statements.delete_at(self._caller.by_session)
        if self._scope.first(statement, self._named() | {"passwords": count}) is None:
            self._caller.check(self._scope, self._user_id, session=True)
            raise WrongPassword

    def delete_unasked(self) -> None:
        """Deletes the user and everything that is theirs, if there is anything: for whoever has no password here."""
        self._scope.all(statements.DELETE, self._named())

    def has_password(self) -> bool:
        """Whether there is a password to ask for. Raises Unauthorized."""
        account = self._find()
        return account is not None and account.email is not None

    def _find(self) -> Account | None:
        """The account, None for a user who has no row and needs none. Raises Unauthorized where it was deleted."""
        row = self._scope.first(statements.GET, self._named())
        if row is None and self._caller.registered:
            raise gone()
        return None if row is None else _account(row)

    def _named(self) -> dict[str, Any]:
        return {"user_id": self._user_id, **self._caller.values}

    def _check(self, passwords: Passwords, password: str) -> int:
        """The number of the password, where it is the account's. Raises WrongPassword."""
        for _ in range(_ATTEMPTS):
            account = self._find()
            email = None if account is None else account.email
            row = None if email is None else self._database.as_login(email).first(statements.FIND, {"email": email})
            if email is None or (row is not None and row[0] == self._user_id):
                break  # else the address has changed between the two
        if row is None or row[0] != self._user_id or not passwords.verify(row[1], normalized(password)):
            raise WrongPassword
        return int(row[2])

    def _written(self, statement: Statement, parameters: dict[str, Any], condition: AccountCondition | None) -> Account:
        """The row that a write returns; where there is none, a second statement finds out why."""
        values = self._named() | parameters | (condition.values if condition is not None else {})
        for _ in range(_ATTEMPTS):
            row = self._scope.first(statement, values)
            if row is not None:
                return _account(row)
            confirmed = "passwords" in parameters
            if confirmed or self._caller.by_key:
                self._caller.check(self._scope, self._user_id, session=confirmed)
            current = self._find() if confirmed else self.get()
            if current is not None and condition is not None and not condition.holds(current.epoch, current.version):
                raise PreconditionFailed(current, "The account has changed since you read it.")
            if confirmed:
                raise WrongPassword  # it was changed while it was checked
        raise Unavailable("The account keeps changing. Try again.")


def _account(row: Row | None) -> Account:
    assert row is not None  # noqa: S101  # an INSERT ... RETURNING returns
    return Account._make(row)
