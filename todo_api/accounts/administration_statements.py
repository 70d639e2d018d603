"""SQL for operators: list every user, find one, verify an address."""

from sqlalchemy import Text, func, select, update

from todo_api.accounts.statements import EMAIL, USER_ID, VERIFIED
from todo_api.database import Statement, param
from todo_api.models import STATUSES, accounts, sessions, users

BATCH = 500
"""Maximum number of users read at a time."""

LIST = Statement(
    select(users.c.id, accounts.c.email, users.c.name, users.c.created_at, accounts.c.email_verified_at)
    .select_from(users.outerjoin(accounts, accounts.c.user_id == users.c.id))
    .where(users.c.id > param("after", Text))
    .order_by(users.c.id)
    .limit(BATCH)
)
SHOW = Statement(
    select(
        users.c.id,
        accounts.c.email,
        users.c.name,
        users.c.created_at,
        users.c.updated_at,
        accounts.c.email_verified_at,
        sum((users.c[status] for status in STATUSES[1:]), users.c[STATUSES[0]]),  # the row counts tasks by status
        users.c.api_keys,
        select(func.count())
        .select_from(sessions)
        .where(sessions.c.user_id == users.c.id, sessions.c.expires_at > func.now())
        .scalar_subquery(),
    )
    .select_from(users.outerjoin(accounts, accounts.c.user_id == users.c.id))
    .where(users.c.id == USER_ID)
)
VERIFY = Statement(
    update(accounts)
    .where(accounts.c.user_id == USER_ID, accounts.c.email == EMAIL)
    .values(**VERIFIED)
    .returning(accounts.c.user_id)
)
FIND_BY_EMAIL = Statement(select(accounts.c.user_id).where(accounts.c.email == EMAIL))
