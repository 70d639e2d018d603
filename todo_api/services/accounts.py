"""Accounts: registration and sign-in, before a user is known, and what a user may see of theirs."""

import unicodedata
from datetime import datetime
from typing import Any, NamedTuple

import psycopg2.errors
from sqlalchemy import Text, func, null, select
from sqlalchemy.dialects.postgresql import insert
from uuid_utils.compat import uuid7

from todo_api.auth.passwords import Passwords
from todo_api.errors import EmailTaken, InvalidCredentials, ValidationFailed, Violation
from todo_api.models import accounts, users
from todo_api.scopes import Scopes
from todo_api.statements import Row, Statement, given

USER_ID = given("user_id", Text)
EMAIL = given("email", Text)


class Account(NamedTuple):
    """What the service knows of a user. Times are in UTC; `email` is None for users of an external issuer."""

    id: str
    email: str | None
    name: str | None
    created_at: datetime
    updated_at: datetime


def _register() -> Statement:
    moment = select(func.clock_timestamp().label("at")).cte("moment")
    name = given("name", Text)
    user = (
        insert(users)
        .from_select(["id", "name", "created_at", "updated_at"], select(USER_ID, name, moment.c.at, moment.c.at))
        .cte("new_user")
    )
    account = (
        insert(accounts)
        .values(user_id=USER_ID, email=EMAIL, password_hash=given("password_hash", Text))
        .cte("new_account")
    )
    return Statement(select(USER_ID, EMAIL, name, moment.c.at, moment.c.at).add_cte(user, account))


_REGISTER = _register()
_FIND = Statement(select(accounts.c.user_id, accounts.c.password_hash).where(accounts.c.email == EMAIL))
_GET = Statement(
    select(users.c.id, accounts.c.email, users.c.name, users.c.created_at, users.c.updated_at)
    .select_from(users.outerjoin(accounts, accounts.c.user_id == users.c.id))
    .where(users.c.id == USER_ID)
)
_MEET = Statement(
    insert(users)
    .values(id=USER_ID)
    .on_conflict_do_update(index_elements=[users.c.id], set_={"name": users.c.name})
    .returning(users.c.id, null(), users.c.name, users.c.created_at, users.c.updated_at)
)


def register(database: Scopes, passwords: Passwords, email: str, password: str, name: str | None) -> Account:
    """The new account. Raises EmailTaken, and ValidationFailed for one of the commonest passwords."""
    password = _normalized(password)
    if passwords.is_common(password):
        raise ValidationFailed(
            [Violation("body", "/password", "too_common", "This is one of the commonest passwords. Choose another.")]
        )
    email = email.lower()
    try:
        row = database.as_login(email).first(
            _REGISTER,
            {"user_id": str(uuid7()), "email": email, "name": name, "password_hash": passwords.hash(password)},
        )
    except psycopg2.errors.UniqueViolation as error:
        if error.diag.constraint_name == "accounts_email_key":
            raise EmailTaken from error
        raise
    return _account(row)


def sign_in(database: Scopes, passwords: Passwords, email: str, password: str) -> str:
    """The id of the user with this e-mail address and password. Raises InvalidCredentials, after the same time for either."""
    email = email.lower()
    row = database.as_login(email).first(_FIND, {"email": email})
    user_id, password_hash = row if row is not None else (None, passwords.decoy)
    if not passwords.verify(password_hash, _normalized(password)) or user_id is None:
        raise InvalidCredentials
    return str(user_id)


class AccountService:
    """The account of one user."""

    def __init__(self, database: Scopes, user_id: str) -> None:
        self._scope = database.as_user(user_id)
        self._user_id = user_id

    def get(self) -> Account:
        """The account. A user of an external issuer whom the service meets for the first time gets a row."""
        parameters: dict[str, Any] = {"user_id": self._user_id}
        return _account(self._scope.first(_GET, parameters) or self._scope.first(_MEET, parameters))


def _account(row: Row | None) -> Account:
    assert row is not None  # noqa: S101  # an INSERT ... RETURNING returns
    return Account._make(row)


def _normalized(password: str) -> str:
    """The password in NFC, so that the same characters typed on another keyboard are the same (RFC 8265, section 4.2)."""
    return unicodedata.normalize("NFC", password)
