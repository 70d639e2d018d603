"""SQL of users and accounts. A write takes the user's next number as the account's version."""

from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Text,
    any_,
    cast,
    delete,
    false,
    func,
    literal_column,
    null,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, insert

from todo_api import guards
from todo_api.database import LONG, Statement, column_value, if_named, param
from todo_api.models import accounts, users

USER_ID = param("user_id", Text)
EMAIL = param("email", Text)
_NAME = column_value(users.c.name)
_PASSWORD_HASH = param("password_hash", Text)
_CHECKED = accounts.c.passwords == param("passwords", BigInteger)
_ROW = (
    *(users.c.name, users.c.time_zone, users.c.week_start),
    *(users.c.created_at, users.c.updated_at, users.c.version, users.c.epoch),
)
SETTINGS = ("name", "time_zone", "week_start")
"""Columns that a client may set."""
STAMP: dict[str, Any] = {
    "seq": users.c.seq + 1,
    "version": users.c.seq + 1,
    "updated_at": func.clock_timestamp(),
}


NOT_VERIFIED: dict[str, Any] = {"email_verified_at": null(), "registered_again": false()}
VERIFIED: dict[str, Any] = {
    "email_verified_at": func.coalesce(accounts.c.email_verified_at, func.now()),
    "registered_again": false(),
}


def _register_unless_known() -> Statement:
    """Insert a user and an account, or note that the account there is was registered again."""
    again = {"registered_again": accounts.c.email_verified_at.is_(None)}
    known = update(accounts).where(accounts.c.email == EMAIL).values(again).returning(accounts.c.user_id).cte("known")
    new = ~select(known.c.user_id).exists()
    user = insert(users).from_select(["id", "name"], select(USER_ID, _NAME).where(new)).cte("new_user")
    values = ["user_id", "email", "password_hash"]
    account = insert(accounts).from_select(values, select(USER_ID, EMAIL, _PASSWORD_HASH).where(new)).cte("new_account")
    return Statement(select(USER_ID).add_cte(user, account))


def _register() -> Statement:
    moment = select(func.clock_timestamp().label("at")).cte("moment")
    user = (
        insert(users)
        .from_select(["id", "name", "created_at", "updated_at"], select(USER_ID, _NAME, moment.c.at, moment.c.at))
        .cte("new_user")
    )
    account = insert(accounts).values(user_id=USER_ID, email=EMAIL, password_hash=_PASSWORD_HASH).cte("new_account")
    first: ColumnElement[int] = literal_column("0")  # the version that the column begins with
    unknown: ColumnElement[int] = literal_column("0")  # the epoch: no reply to a registration has a tag
    return Statement(
        select(USER_ID, EMAIL, _NAME, null(), null(), moment.c.at, moment.c.at, first, unknown).add_cte(user, account)
    )


REGISTER = _register()
REGISTER_UNLESS_KNOWN = _register_unless_known()
FIND = Statement(
    select(
        accounts.c.user_id,
        accounts.c.password_hash,
        accounts.c.passwords,
        accounts.c.email_verified_at.is_not(None),
        accounts.c.registered_again,
    ).where(accounts.c.email == EMAIL)
)
GET = Statement(
    select(users.c.id, accounts.c.email, *_ROW)
    .select_from(users.outerjoin(accounts, accounts.c.user_id == users.c.id))
    .where(users.c.id == USER_ID)
)
MEET = Statement(
    insert(users)
    .values(id=USER_ID)
    .on_conflict_do_update(index_elements=[users.c.id], set_={"name": users.c.name})
    .returning(users.c.id, null(), *_ROW)
)
LOCK = Statement(select(users.c.id).where(users.c.id == USER_ID).with_for_update(key_share=True))
DELETE = Statement(delete(users).where(users.c.id == USER_ID).returning(users.c.id), seconds=LONG)


@cache
def delete_at(by_session: bool) -> Statement:
    """Delete the user if the password is still the one that was checked.

    It locks the account's row too, so it sees a concurrent change of the password.
    """
    me = guards.locked(session=by_session)
    account = (
        select(accounts.c.user_id)
        .where(accounts.c.user_id == me.c.id, accounts.c.user_id == USER_ID, _CHECKED)
        .with_for_update(of=accounts)
        .cte("account")
    )
    mine = (users.c.id == USER_ID, users.c.id == account.c.user_id)
    return Statement(delete(users).where(*mine).returning(users.c.id), seconds=LONG)


def _at(conditional: bool) -> list[ColumnElement[bool]]:
    """Return the condition for one of `versions`, or of `tags` (`epoch-version`).

    A version alone may be one of an earlier row of the user.
    """
    if not conditional:
        return []
    tag = cast(users.c.epoch, Text) + "-" + cast(users.c.version, Text)
    return [or_(users.c.version == any_(param("versions", ARRAY(BigInteger))), tag == any_(param("tags", ARRAY(Text))))]


@cache
def change(conditional: bool, by_key: bool) -> Statement:
    """Set those of SETTINGS that are `named`; conditional: only at `versions`."""
    email = select(accounts.c.email).where(accounts.c.user_id == USER_ID).scalar_subquery()
    here = [users.c.id == guards.locked(key=True).c.id] if by_key else []
    values = {name: if_named(users.c[name]) for name in SETTINGS}
    return Statement(
        update(users)
        .where(users.c.id == USER_ID, *here, *_at(conditional))
        .values(**values, **STAMP)
        .returning(users.c.id, email, *_ROW)
    )


def _rewrite(conditional: bool, by_session: bool, values: dict[str, Any]) -> Statement:
    """Set columns of `accounts` if the password is still the one that was checked."""
    me = guards.locked(*_at(conditional), session=by_session)
    account = (
        update(accounts)
        .where(accounts.c.user_id == me.c.id, accounts.c.user_id == USER_ID, _CHECKED)
        .values(**values)
        .returning(accounts.c.user_id, accounts.c.email)
        .cte("account")
    )
    return Statement(
        update(users)
        .where(users.c.id == account.c.user_id, users.c.id == USER_ID)
        .values(**STAMP)
        .returning(users.c.id, account.c.email, *_ROW)
    )


@cache
def change_email(conditional: bool, by_session: bool) -> Statement:
    """Set the e-mail address, not verified yet; conditional: only at `versions`."""
    return _rewrite(conditional, by_session, {"email": EMAIL, **NOT_VERIFIED})


@cache
def change_password(by_session: bool) -> Statement:
    """Set the password's hash and count it."""
    return _rewrite(False, by_session, {"password_hash": _PASSWORD_HASH, "passwords": accounts.c.passwords + 1})
