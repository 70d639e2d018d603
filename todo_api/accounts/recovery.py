"""Recovery of an account whose password was forgotten."""

from todo_api import api_keys
from todo_api.accounts import one_time_tokens, sessions
from todo_api.accounts import recovery_statements as statements
from todo_api.accounts import statements as account_statements
from todo_api.accounts.one_time_tokens import Purpose
from todo_api.accounts.passwords import Passwords, usable
from todo_api.api_keys import KeysLeft
from todo_api.database import RoleSessions
from todo_api.errors import InvalidOneTimeToken
from todo_api.mail import MailContent, outbox


def request_mail(database: RoleSessions, email: str, purpose: Purpose) -> None:
    """Queue a mail. The account is looked up later: the time does not reveal whether it exists."""
    outbox.queue(database, email.lower(), purpose)


def mail_content(database: RoleSessions, email: str, purpose: str) -> MailContent | None:
    """Return what a mail says to the account with this e-mail address. None if there is none."""
    row = database.as_login(email).fetch_one(account_statements.FIND, {"email": email})
    if row is None:
        return None
    user_id, _, _, is_verified, registered_again = row
    verifies = purpose == Purpose.VERIFY
    # Whoever registered the address again may not know its password, so the mail offers a reset.
    resets = not verifies or is_verified or registered_again
    token = one_time_tokens.issue(database, user_id, email, Purpose.RESET if resets else Purpose.VERIFY)
    return None if token is None else MailContent("registered" if verifies and resets else purpose, token)


def reset_password(
    database: RoleSessions, passwords: Passwords, token: str, new: str, *, revoke_keys: bool
) -> KeysLeft:
    """Set the password; end sessions, one-time tokens and, on request, API keys of its user.

    Raise InvalidOneTimeToken, or ValidationFailed for a common password.
    """
    new = usable(passwords, new, "/new_password")
    user_id, token_id = one_time_tokens.find(database, token, Purpose.RESET)
    parameters = {"user_id": user_id, "token_id": token_id, "password_hash": passwords.hash(new)}
    with database.transaction() as transaction:
        if transaction.as_user(user_id).fetch_one(statements.RESET_PASSWORD, parameters) is None:
            raise InvalidOneTimeToken
        # Separate statements see the session of a sign-in that held the user's row until now.
        sessions.end_others(transaction, user_id, None)
        one_time_tokens.end_all(transaction, user_id)
        return api_keys.count_or_revoke(transaction, user_id, revoke=revoke_keys)
