"""SQL of one-time tokens, resets and verification. `passwords` counts an account's passwords."""

from sqlalchemy import CTE, ColumnElement, DateTime, Text, Uuid, delete, func, literal_column, select, update
from sqlalchemy.dialects.postgresql import insert

from todo_api import guards
from todo_api.accounts.statements import STAMP, VERIFIED
from todo_api.database import Statement, delete_expired, param
from todo_api.models import accounts, one_time_tokens, users

LIFETIME = 3600
"""Seconds for which a token is valid."""

_USER_ID = param("user_id", Text)
_PURPOSE = param("purpose", Text)
_DIGEST = param("digest", Text)


def _issue() -> Statement:
    values = {
        one_time_tokens.c.user_id: accounts.c.user_id,
        one_time_tokens.c.id: param("id", Uuid),
        one_time_tokens.c.purpose: _PURPOSE,
        one_time_tokens.c.digest: _DIGEST,
        one_time_tokens.c.email: accounts.c.email,
        one_time_tokens.c.passwords: accounts.c.passwords,
        one_time_tokens.c.created_at: func.now(),
        one_time_tokens.c.expires_at: func.now() + literal_column(f"interval '{LIFETIME} seconds'", DateTime()),
    }
    account = select(*values.values()).where(accounts.c.user_id == _USER_ID, accounts.c.email == param("email", Text))
    return Statement(insert(one_time_tokens).from_select(list(values), account).returning(one_time_tokens.c.expires_at))


ISSUE = _issue()
FIND = Statement(
    select(one_time_tokens.c.user_id, one_time_tokens.c.id).where(
        one_time_tokens.c.digest == _DIGEST,
        one_time_tokens.c.purpose == _PURPOSE,
        one_time_tokens.c.expires_at > func.now(),
    )
)
END = Statement(delete(one_time_tokens).where(one_time_tokens.c.user_id == _USER_ID).returning(one_time_tokens.c.id))
PURGE = delete_expired(one_time_tokens, one_time_tokens.c.expires_at < func.now())


def _used(purpose: str) -> CTE:
    """Delete and return a token. The user's row is locked, so a concurrent request finds none."""
    me = guards.locked()
    return (
        delete(one_time_tokens)
        .where(
            one_time_tokens.c.user_id == me.c.id,
            one_time_tokens.c.user_id == _USER_ID,
            one_time_tokens.c.id == param("token_id", Uuid),
            one_time_tokens.c.purpose == literal_column(f"'{purpose}'"),
            one_time_tokens.c.expires_at > func.now(),
        )
        .returning(one_time_tokens.c.user_id, one_time_tokens.c.email, one_time_tokens.c.passwords)
        .cte("used")
    )


def _account_of(used: CTE) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions for the token's account. Its e-mail address must be unchanged."""
    return (
        accounts.c.user_id == used.c.user_id,
        accounts.c.user_id == _USER_ID,
        accounts.c.email == used.c.email,
    )


def _reset_password() -> Statement:
    """Use a one-time token and set the hash, if address and password are unchanged since.

    The address is then verified: the user got the token by mail, or from an operator.
    """
    used = _used("reset")
    account = (
        update(accounts)
        .where(*_account_of(used), accounts.c.passwords == used.c.passwords)
        .values(password_hash=param("password_hash", Text), passwords=accounts.c.passwords + 1, **VERIFIED)
        .returning(accounts.c.user_id)
        .cte("account")
    )
    changed = update(users).where(users.c.id == account.c.user_id, users.c.id == _USER_ID).values(**STAMP)
    return Statement(changed.returning(users.c.id))


def _verify_email() -> Statement:
    """Use a one-time token and verify the address, if it is unchanged and was registered once."""
    used = _used("verify")
    account = update(accounts).where(*_account_of(used), accounts.c.registered_again.is_(False)).values(**VERIFIED)
    return Statement(account.returning(accounts.c.user_id))


RESET_PASSWORD = _reset_password()
VERIFY_EMAIL = _verify_email()
