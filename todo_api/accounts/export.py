"""Exports: everything that a user owns, read piece by piece, so that the memory it takes does not grow with what there is."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import Text, select
from sqlalchemy import Uuid as UuidType

from todo_api.accounts.service import Account, AccountService
from todo_api.api_keys import ApiKey, KeyService
from todo_api.database import Row, Scope, Scopes, Statement, given
from todo_api.guards import Caller
from todo_api.models import sessions, tasks
from todo_api.tasks import TASK_COLUMNS, Task, octets_before

BATCH = 500
"""How many tasks, or sessions, are read at a time."""

MAX_OCTETS = 256 * 1024
"""How much text is read at a time: to the task that passes it, and no further."""

_FIRST = "00000000-0000-0000-0000-000000000000"
_USER_ID = given("user_id", Text)
_AFTER = given("after", UuidType)
_SESSIONS = Statement(
    select(sessions.c.id, sessions.c.created_at, sessions.c.refreshed_at, sessions.c.expires_at)
    .where(sessions.c.user_id == _USER_ID, sessions.c.id > _AFTER)
    .order_by(sessions.c.id)
    .limit(BATCH)
)


def _tasks() -> Statement:
    batch = (
        select(*TASK_COLUMNS)
        .where(tasks.c.user_id == _USER_ID, tasks.c.id > _AFTER)
        .order_by(tasks.c.id)
        .limit(BATCH)
        .subquery("batch")
    )
    summed = select(*batch.c, octets_before(batch, [batch.c.id])).subquery("summed")
    columns = [summed.c[column.name] for column in TASK_COLUMNS]
    return Statement(select(*columns).where(summed.c.octets_before <= MAX_OCTETS).order_by(summed.c.id))


_TASKS = _tasks()


class SessionRecord(NamedTuple):
    """A session without what opens it. Times are in UTC."""

    id: str
    created_at: datetime
    refreshed_at: datetime
    expires_at: datetime


class Export(NamedTuple):
    """What a user owns. `sessions` and `tasks` are read while they are gone through, a batch at a time.

    `sessions` and `keys` are None for an API key, which may not see them.
    """

    exported_at: datetime
    account: Account
    sessions: Iterator[SessionRecord] | None
    keys: list[ApiKey] | None
    tasks: Iterator[Task]


def export(database: Scopes, user_id: str, caller: Caller) -> Export:
    """What the user owns. Raises Unauthorized where the account was deleted, or the caller's session has ended."""
    account = AccountService(database, user_id, caller).get()
    scope = database.as_user(user_id)
    found = map(Task._make, _rows(scope, _TASKS, user_id))
    if caller.key is not None:
        return Export(datetime.now(UTC), account, None, None, found)
    keys = KeyService(database, user_id, caller).list()
    records = map(SessionRecord._make, _rows(scope, _SESSIONS, user_id))
    return Export(datetime.now(UTC), account, records, keys, found)


def _rows(scope: Scope, statement: Statement, user_id: str) -> Iterator[Row]:
    """The rows of all batches, each of which begins after the id that the one before ends with."""
    after: Any = _FIRST
    while rows := scope.all(statement, {"user_id": user_id, "after": after}):
        after = rows[-1][0]
        yield from rows
