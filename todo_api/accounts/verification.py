"""Verification of e-mail addresses, for deployments that require it.

An address that was registered twice is verified by a reset of the password alone, since the
password may be a stranger's.
"""

from uuid_utils import uuid7

from todo_api.accounts import one_time_tokens
from todo_api.accounts import recovery_statements as statements
from todo_api.accounts import statements as account_statements
from todo_api.accounts.one_time_tokens import Purpose
from todo_api.accounts.passwords import Passwords, usable
from todo_api.database import RoleSessions
from todo_api.errors import ConstraintViolated, InvalidOneTimeToken, Unavailable
from todo_api.mail import outbox


def register(database: RoleSessions, passwords: Passwords, email: str, password: str, name: str | None) -> None:
    """Add an account, unless the address has one, and queue a mail.

    Statements and hashing are the same either way. Raise ValidationFailed for a common password.
    """
    email = email.lower()
    hashed = passwords.hash(usable(passwords, password, "/password"))
    parameters = {"user_id": str(uuid7()), "email": email, "name": name, "password_hash": hashed}
    try:
        with database.transaction() as transaction:
            # The outbox first: the second of two registrations waits there, then sees the account.
            outbox.queue(transaction, email, Purpose.VERIFY)
            transaction.as_login(email).fetch_all(account_statements.REGISTER_UNLESS_KNOWN, parameters)
    except ConstraintViolated as error:
        if error.constraint == "accounts_email_key":  # at this moment somebody changed theirs to it
            raise Unavailable("The address is changing. Try again.") from error
        raise


def verify(database: RoleSessions, token: str) -> None:
    """Note that the address is verified, if the account still has it. Raise InvalidOneTimeToken."""
    found = one_time_tokens.find(database, token, Purpose.VERIFY)
    if database.as_user(found.user_id).fetch_one(statements.VERIFY_EMAIL, found._asdict()) is None:
        raise InvalidOneTimeToken
