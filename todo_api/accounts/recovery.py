"""The way back into an account for a user who has forgotten the password."""

from todo_api import api_keys
from todo_api.accounts import one_time_tokens, sessions
from todo_api.accounts import recovery_statements as statements
from todo_api.accounts import statements as account_statements
from todo_api.accounts.one_time_tokens import Purpose
from todo_api.accounts.passwords import Passwords, usable
from todo_api.api_keys import KeysLeft
from todo_api.database import Scopes
from todo_api.errors import InvalidOneTimeToken
from todo_api.mail import outbox


def request_password_reset(database: Scopes, email: str) -> None:
    """Queue a mail. Whether the address has an account, nobody looks up before the mail is sent: it would show in the time."""
    outbox.queue(database, email.lower(), Purpose.RESET)


def issue(database: Scopes, email: str, purpose: str) -> str | None:
    """Return a one-time token for the account with this e-mail address. None if there is none."""
    row = database.as_login(email).first(account_statements.FIND, {"email": email})
    return None if row is None else one_time_tokens.issue(database, row[0], email, Purpose(purpose))


def reset_password(database: Scopes, passwords: Passwords, token: str, new: str, *, revoke_keys: bool) -> KeysLeft:
    """Set the password, and end every session, every one-time token and, on request, every API key of the token's user.

    Raise InvalidOneTimeToken, and ValidationFailed for one of the commonest passwords.
    """
    new = usable(passwords, new, "/new_password")
    user_id, token_id = one_time_tokens.find(database, token, Purpose.RESET)
    parameters = {"user_id": user_id, "token_id": token_id, "password_hash": passwords.hash(new)}
    with database.transaction() as transaction:
        if transaction.as_user(user_id).first(statements.RESET_PASSWORD, parameters) is None:
            raise InvalidOneTimeToken
        # After it, in statements of their own: they see what a sign-in has begun that held the user's row until now.
        sessions.end_others(transaction, user_id, None)
        one_time_tokens.end_all(transaction, user_id)
        return api_keys.count(transaction, user_id, revoke=revoke_keys)
