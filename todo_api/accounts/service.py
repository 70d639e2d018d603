"""Accounts: registration and sign-in before a user is known, and the account of a user."""

from datetime import datetime
from typing import Any, NamedTuple

from uuid_utils import uuid7

from todo_api import api_keys
from todo_api.accounts import sessions, statements
from todo_api.accounts.one_time_tokens import Purpose
from todo_api.accounts.passwords import Passwords, normalized, usable
from todo_api.accounts.sessions import Session
from todo_api.api_keys import KeysLeft
from todo_api.database import RoleSessions, Row, Statement
from todo_api.errors import (
    ConstraintViolated,
    EmailTaken,
    EmailUnverified,
    InvalidCredentials,
    PreconditionFailed,
    Unavailable,
    ValidationFailed,
    Violation,
    WrongPassword,
)
from todo_api.etags import AccountCondition, space_tag
from todo_api.guards import Caller, gone
from todo_api.local_time import DEFAULT_ZONE, is_zone
from todo_api.mail import outbox

_ATTEMPTS = 5


class Account(NamedTuple):
    """A user as stored. Times are in UTC; `email` is None for users of an external issuer."""

    id: str
    email: str | None
    name: str | None
    stored_zone: str | None
    stored_week_start: str | None
    created_at: datetime
    updated_at: datetime
    version: int
    epoch: int

    @property
    def time_zone(self) -> str:
        """Return the zone in which dates without one are meant."""
        return self.stored_zone or DEFAULT_ZONE

    @property
    def week_start(self) -> str:
        """Return the day with which the user's week begins."""
        return self.stored_week_start or "monday"

    @property
    def tag(self) -> str:
        """Return its entity tag."""
        return space_tag(self.id, self.epoch, self.version)


def register(database: RoleSessions, passwords: Passwords, email: str, password: str, name: str | None) -> Account:
    """Return the new account. Raise EmailTaken, or ValidationFailed for a common password."""
    password = usable(passwords, password, "/password")
    email = email.lower()
    try:
        row = database.as_login(email).fetch_one(
            statements.REGISTER,
            {"user_id": str(uuid7()), "email": email, "name": name, "password_hash": passwords.hash(password)},
        )
    except ConstraintViolated as error:
        if error.constraint == "accounts_email_key":
            raise EmailTaken from error
        raise
    return _account(row)


def sign_in(
    database: RoleSessions, passwords: Passwords, email: str, password: str, *, lifetime: int, verified: bool
) -> Session:
    """Return a new session, `lifetime` seconds long, for the e-mail address and password.

    Raise InvalidCredentials, after the same time for an unknown address as for a wrong password.
    With `verified` raise EmailUnverified, if the password is right.
    """
    email = email.lower()
    row = database.as_login(email).fetch_one(statements.FIND, {"email": email})
    user_id, password_hash, count, is_verified, _ = row if row is not None else (None, passwords.decoy, 0, False, False)
    if not passwords.verify(password_hash, normalized(password)) or user_id is None:
        raise InvalidCredentials
    if verified and not is_verified:
        raise EmailUnverified
    session = sessions.begin(database, user_id, count, lifetime)
    if session is None:
        raise InvalidCredentials  # the password was changed, or the account deleted, while it was checked
    return session


def holds(database: RoleSessions, passwords: Passwords, email: str, password: str, refresh_token: str) -> bool:
    """Return whether a stored sign-in is still valid: session and password are current."""
    user_id = sessions.holder(database, refresh_token)
    if user_id is None:
        return False
    row = database.as_login(email.lower()).fetch_one(statements.FIND, {"email": email.lower()})
    return row is not None and row[0] == user_id and passwords.verify(row[1], normalized(password))


def is_there(database: RoleSessions, user_id: str) -> bool:
    """Return whether the account exists."""
    return database.as_user(user_id).fetch_one(statements.GET, {"user_id": user_id}) is not None


class AccountService:
    """The account of a user. Methods raise Unauthorized if a user who must have a row has none.

    Operations that a password confirms check the caller's session in the statement that writes.
    Other users get a row at their first request.
    """

    def __init__(self, database: RoleSessions, user_id: str, caller: Caller) -> None:
        self._database = database
        self._db = database.as_user(user_id)
        self._user_id = user_id
        self._caller = caller

    def get(self) -> Account:
        """Return the account. Raise Unauthorized if it was deleted."""
        return self._find() or _account(self._db.fetch_one(statements.MEET, self._named()))

    def change(self, settings: dict[str, str | None], condition: AccountCondition | None) -> Account:
        """Return the account with these settings: name, time_zone, week_start.

        Raise ValidationFailed, PreconditionFailed or Unauthorized.
        """
        zone = settings.get("time_zone")
        if zone is not None and not is_zone(zone):
            detail = "Must be the IANA name of a time zone, such as Europe/Berlin."
            raise ValidationFailed([Violation("body", "/time_zone", "unknown_time_zone", detail)])
        statement = statements.change(condition is not None, self._caller.by_key)
        values = {**dict.fromkeys(statements.SETTINGS), **settings, "named": list(settings)}
        return self._written(statement, values, condition)

    def change_email(
        self, passwords: Passwords, password: str, email: str, condition: AccountCondition | None, *, verify: bool
    ) -> Account:
        """Return the account with the new e-mail address, and with `verify` queue a mail to it.

        Raise WrongPassword, EmailTaken, PreconditionFailed or Unauthorized.
        """
        count = self._check(passwords, password)
        email = email.lower()
        parameters = {"email": email, "passwords": count}
        statement = statements.change_email(condition is not None, self._caller.by_session)
        try:
            if not verify:
                return self._written(statement, parameters, condition)
            with self._database.transaction() as transaction:
                outbox.queue(transaction, email, Purpose.VERIFY)  # first, as a registration does: no deadlock
                account = AccountService(transaction, self._user_id, self._caller)
                return account._written(statement, parameters, condition)
        except ConstraintViolated as error:
            if error.constraint == "accounts_email_key":
                raise EmailTaken from error
            raise

    def change_password(self, passwords: Passwords, current: str, new: str, *, revoke_keys: bool) -> KeysLeft:
        """Set the password, end all other sessions and, on request, revoke all API keys.

        Raise WrongPassword, ValidationFailed or Unauthorized.
        """
        count = self._check(passwords, current)
        new = usable(passwords, new, "/new_password")
        parameters = {"password_hash": passwords.hash(new), "passwords": count}
        with self._database.transaction() as transaction:
            account = AccountService(transaction, self._user_id, self._caller)
            account._written(statements.change_password(self._caller.by_session), parameters, None)
            # Separate statements see the session of a sign-in that held the user's row until now.
            sessions.end_others(transaction, self._user_id, self._caller.session)
            return api_keys.count_or_revoke(transaction, self._user_id, revoke=revoke_keys)

    def delete(self, passwords: Passwords, password: str) -> None:
        """Delete the user and everything they own. Raise WrongPassword or Unauthorized.

        If a concurrent request has deleted an unregistered user, nothing is left to do.
        """
        try:
            self._delete(self._check(passwords, password))
        except WrongPassword:
            if self._find() is not None:
                raise

    def _delete(self, count: int) -> None:
        statement = statements.delete_at(self._caller.by_session)
        if self._db.fetch_one(statement, self._named() | {"passwords": count}) is None:
            self._caller.check(self._db, self._user_id, session=True)
            raise WrongPassword

    def delete_unasked(self) -> None:
        """Delete the user and everything they own. For users without a password."""
        self._db.fetch_all(statements.DELETE, self._named())

    def has_password(self) -> bool:
        """Return whether the account has a password. Raise Unauthorized."""
        account = self._find()
        return account is not None and account.email is not None

    def _find(self) -> Account | None:
        """Return the account, None for an unregistered user.

        Raise Unauthorized if it was deleted.
        """
        row = self._db.fetch_one(statements.GET, self._named())
        if row is None and self._caller.registered:
            raise gone()
        return None if row is None else _account(row)

    def _named(self) -> dict[str, Any]:
        return {"user_id": self._user_id, **self._caller.values}

    def _check(self, passwords: Passwords, password: str) -> int:
        """Return the number of the password if it is the account's. Raise WrongPassword."""
        for _ in range(_ATTEMPTS):
            account = self._find()
            email = None if account is None else account.email
            row = None if email is None else self._database.as_login(email).fetch_one(statements.FIND, {"email": email})
            if email is None or (row is not None and row[0] == self._user_id):
                break  # else the address has changed between the two
        if row is None or row[0] != self._user_id or not passwords.verify(row[1], normalized(password)):
            raise WrongPassword
        return int(row[2])

    def _written(self, statement: Statement, parameters: dict[str, Any], condition: AccountCondition | None) -> Account:
        """Return the row that a write returns; if there is none, find out why and raise."""
        values = self._named() | parameters | (condition.values if condition is not None else {})
        for _ in range(_ATTEMPTS):
            row = self._db.fetch_one(statement, values)
            if row is not None:
                return _account(row)
            confirmed = "passwords" in parameters
            if confirmed or self._caller.by_key:
                self._caller.check(self._db, self._user_id, session=confirmed)
            current = self._find() if confirmed else self.get()
            if current is not None and condition is not None and not condition.holds(current.epoch, current.version):
                raise PreconditionFailed(current, "The account has changed since you read it.")
            if confirmed:
                raise WrongPassword  # it was changed while it was checked
        raise Unavailable("The account keeps changing. Try again.")


def _account(row: Row | None) -> Account:
    assert row is not None  # noqa: S101  # an INSERT ... RETURNING returns
    return Account._make(row)
