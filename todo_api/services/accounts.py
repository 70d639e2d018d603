"""Accounts: registration and sign-in, before a user is known, and what a user may see of theirs."""

import unicodedata
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import psycopg2.errors
from sqlalchemy import select
from uuid_utils import uuid7

from todo_api.auth.passwords import Passwords
from todo_api.errors import (
    EmailTaken,
    InvalidCredentials,
    PreconditionFailed,
    Unauthorized,
    Unavailable,
    ValidationFailed,
    Violation,
    WrongPassword,
)
from todo_api.models import accounts
from todo_api.scopes import Scopes
from todo_api.services import account_statements as statements
from todo_api.services import sessions
from todo_api.services.sessions import Session
from todo_api.statements import Row, Statement

Versions = Sequence[int] | None
"""The versions that a write may start from; None for any."""

_ATTEMPTS = 5


class Account(NamedTuple):
    """What the service knows of a user. Times are in UTC; `email` is None for users of an external issuer."""

    id: str
    email: str | None
    name: str | None
    created_at: datetime
    updated_at: datetime
    version: int


_FIND = Statement(
    select(accounts.c.user_id, accounts.c.password_hash, accounts.c.passwords).where(
        accounts.c.email == statements.EMAIL
    )
)


def register(database: Scopes, passwords: Passwords, email: str, password: str, name: str | None) -> Account:
    """The new account. Raises EmailTaken, and ValidationFailed for one of the commonest passwords."""
    password = _usable(passwords, password, "/password")
    email = email.lower()
    try:
        row = database.as_login(email).first(
            statements.REGISTER,
            {"user_id": str(uuid7()), "email": email, "name": name, "password_hash": passwords.hash(password)},
        )
    except psycopg2.errors.UniqueViolation as error:
        if error.diag.constraint_name == "accounts_email_key":
            raise EmailTaken from error
        raise
    return _account(row)


def sign_in(database: Scopes, passwords: Passwords, email: str, password: str, lifetime: int) -> Session:
    """A new session of the user with this e-mail address and password, `lifetime` seconds long unless it is refreshed.

    Raises InvalidCredentials, after the same time for an unknown address and for a wrong password.
    """
    email = email.lower()
    row = database.as_login(email).first(_FIND, {"email": email})
    user_id, password_hash, count = row if row is not None else (None, passwords.decoy, 0)
    if not passwords.verify(password_hash, _normalized(password)) or user_id is None:
        raise InvalidCredentials
    session = sessions.begin(database, user_id, count, lifetime)
    if session is None:
        raise InvalidCredentials  # the password was changed, or the account deleted, while it was checked
    return session


class AccountService:
    """The account of one user. `registered`: whether there must be one; else a user met for the first time gets a row."""

    def __init__(self, database: Scopes, user_id: str, *, registered: bool) -> None:
        self._database = database
        self._scope = database.as_user(user_id)
        self._user_id = user_id
        self._registered = registered

    def get(self) -> Account:
        """The account. Raises Unauthorized where it was deleted."""
        row = self._scope.first(statements.GET, self._named())
        if row is None:
            if self._registered:
                raise gone()
            row = self._scope.first(statements.MEET, self._named())
        return _account(row)

    def rename(self, name: str | None, versions: Versions) -> Account:
        """The account with that name, or none. Raises PreconditionFailed, Unauthorized."""
        statement = statements.rename(versions is not None)
        return self._written(statement, {"name": name, "versions": versions}, versions)

    def change_email(self, passwords: Passwords, password: str, email: str, versions: Versions) -> Account:
        """The account with that e-mail address. Raises WrongPassword, EmailTaken, PreconditionFailed, Unauthorized."""
        count = self._check(passwords, password)
        parameters = {"email": email.lower(), "passwords": count, "versions": versions}
        try:
            return self._written(statements.change_email(versions is not None), parameters, versions)
        except psycopg2.errors.UniqueViolation as error:
            if error.diag.constraint_name == "accounts_email_key":
                raise EmailTaken from error
            raise

    def change_password(self, passwords: Passwords, current: str, new: str, session: str | None) -> None:
        """Sets the password, and ends every other session than this. Raises WrongPassword, ValidationFailed, Unauthorized."""
        count = self._check(passwords, current)
        new = _usable(passwords, new, "/new_password")
        parameters = {"password_hash": passwords.hash(new), "passwords": count}
        with self._database.transaction() as transaction:
            account = AccountService(transaction, self._user_id, registered=self._registered)
            account._written(statements.CHANGE_PASSWORD, parameters, None)
            # In a statement of its own: it sees the session of a sign-in that held the account's lock until now.
            sessions.end_others(transaction, self._user_id, session)

    def delete(self, passwords: Passwords, password: str) -> None:
        """Deletes the user and everything that is theirs. Raises WrongPassword, Unauthorized."""
        count = self._check(passwords, password)
        if self._scope.first(statements.DELETE_AT, self._named() | {"passwords": count}) is None:
            self.get()
            raise WrongPassword

    def delete_unasked(self) -> None:
        """Deletes the user and everything that is theirs, if there is anything: for whoever has no password here."""
        self._scope.all(statements.DELETE, self._named())

    def has_password(self) -> bool:
        """Whether there is a password to ask for. Raises Unauthorized."""
        return self.get().email is not None

    def _named(self) -> dict[str, Any]:
        return {"user_id": self._user_id}

    def _check(self, passwords: Passwords, password: str) -> int:
        """The number of the password, where it is the account's. Raises WrongPassword."""
        email = self.get().email
        row = None if email is None else self._database.as_login(email).first(_FIND, {"email": email})
        if row is None or row[0] != self._user_id or not passwords.verify(row[1], _normalized(password)):
            raise WrongPassword
        return int(row[2])

    def _written(self, statement: Statement, parameters: dict[str, Any], versions: Versions) -> Account:
        """The row that a write returns; where there is none, a second statement finds out why."""
        for _ in range(_ATTEMPTS):
            row = self._scope.first(statement, self._named() | parameters)
            if row is not None:
                return _account(row)
            current = self.get()
            if versions is not None and current.version not in versions:
                raise PreconditionFailed(current, "The account has changed since you read it.")
            if "passwords" in parameters:
                raise WrongPassword  # it was changed while it was checked
        raise Unavailable("The account keeps changing.")


def gone() -> Unauthorized:
    """What is said of a token whose account was deleted."""
    return Unauthorized("The token does not hold.", token_sent=True, cause="account deleted")


def _usable(passwords: Passwords, password: str, pointer: str) -> str:
    """The password as it is hashed. Raises ValidationFailed for one of the commonest."""
    password = _normalized(password)
    if passwords.is_common(password):
        detail = "This is one of the commonest passwords. Choose another."
        raise ValidationFailed([Violation("body", pointer, "too_common", detail)])
    return password


def _account(row: Row | None) -> Account:
    assert row is not None  # noqa: S101  # an INSERT ... RETURNING returns
    return Account._make(row)


def _normalized(password: str) -> str:
    """The password in NFC, so that the same characters typed on another keyboard are the same (RFC 8265, section 4.2)."""
    return unicodedata.normalize("NFC", password)
