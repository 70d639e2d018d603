"""Exports: everything that a user owns, read piece by piece, so that the memory it takes does not grow with what there is."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import Text, select
from sqlalchemy import Uuid as UuidType

from todo_api.models import sessions, tasks
from todo_api.scopes import Scopes
from todo_api.services.accounts import Account, AccountService
from todo_api.services.guards import Caller
from todo_api.services.keys import ApiKey, KeyService
from todo_api.services.task_statements import TASK_COLUMNS
from todo_api.services.tasks import Task
from todo_api.statements import Statement, given

BATCH = 500
"""How many tasks are read at a time."""

_FIRST = "00000000-0000-0000-0000-000000000000"
_USER_ID = given("user_id", Text)
_SESSIONS = Statement(
    select(sessions.c.id, sessions.c.created_at, sessions.c.refreshed_at, sessions.c.expires_at)
    .where(sessions.c.user_id == _USER_ID)
    .order_by(sessions.c.id)
)
_TASKS = Statement(
    select(*TASK_COLUMNS)
    .where(tasks.c.user_id == _USER_ID, tasks.c.id > given("after", UuidType))
    .order_by(tasks.c.id)
    .limit(BATCH)
)


class SessionRecord(NamedTuple):
    """A session without what opens it. Times are in UTC."""

    id: str
    created_at: datetime
    refreshed_at: datetime
    expires_at: datetime


class Export(NamedTuple):
    """What a user owns. `batches` reads the tasks while it is gone through: lists of at most `BATCH`, none of them empty.

    `sessions` and `keys` are None for an API key, which may not see them.
    """

    exported_at: datetime
    account: Account
    sessions: list[SessionRecord] | None
    keys: list[ApiKey] | None
    batches: Iterator[list[Task]]


def export(database: Scopes, user_id: str, caller: Caller) -> Export:
    """What the user owns. Raises Unauthorized where the account was deleted, or the caller's session has ended."""
    account = AccountService(database, user_id, caller).get()
    if caller.key is not None:
        return Export(datetime.now(UTC), account, None, None, _batches(database, user_id))
    keys = KeyService(database, user_id, caller).list()
    rows = database.as_user(user_id).all(_SESSIONS, {"user_id": user_id})
    records = [SessionRecord._make(row) for row in rows]
    return Export(datetime.now(UTC), account, records, keys, _batches(database, user_id))


def _batches(database: Scopes, user_id: str) -> Iterator[list[Task]]:
    scope, after = database.as_user(user_id), _FIRST
    while rows := scope.all(_TASKS, {"user_id": user_id, "after": after}):
        yield [Task._make(row) for row in rows]
        after = rows[-1][0]
