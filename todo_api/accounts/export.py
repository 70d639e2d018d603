"""Export of everything that a user owns, read in batches, so its memory is bounded."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import NamedTuple, TypeVar

from todo_api.accounts import sessions
from todo_api.accounts.service import Account, AccountService
from todo_api.accounts.sessions import SessionRecord
from todo_api.api_keys import ApiKey, KeyService
from todo_api.database import RoleSessions
from todo_api.guards import Caller
from todo_api.history import Entry, HistoryService
from todo_api.projects import Project, ProjectService
from todo_api.tasks import Task, TaskService
from todo_api.trash import TrashedObject, TrashService

_FIRST = "00000000-0000-0000-0000-000000000000"
"""The id before all others."""

Item = TypeVar("Item", SessionRecord, Task)


class Export(NamedTuple):
    """Everything a user owns, read in batches. `sessions` and `keys` are None for an API key."""

    exported_at: datetime
    account: Account
    sessions: Iterator[SessionRecord] | None
    keys: list[ApiKey] | None
    projects: list[Project]
    tasks: Iterator[Task]
    trash: Iterator[TrashedObject]
    history: Iterator[Entry]


def export(database: RoleSessions, user_id: str, caller: Caller, trash_days: int) -> Export:
    """Return what the user owns.

    Raise Unauthorized if the account or the caller's session is gone.
    """
    account = AccountService(database, user_id, caller).get()
    projects = ProjectService(database, user_id, caller).list().projects
    tasks = _all(TaskService(database, user_id, caller).batch)
    trash = TrashService(database, user_id, caller, trash_days).all()
    history = HistoryService(database, user_id, caller).all()
    if caller.key is not None:
        return Export(datetime.now(UTC), account, None, None, projects, tasks, trash, history)
    keys = KeyService(database, user_id, caller).list()
    records = _all(partial(sessions.batch, database, user_id))
    return Export(datetime.now(UTC), account, records, keys, projects, tasks, trash, history)


def _all(batch: Callable[[str], Sequence[Item]]) -> Iterator[Item]:
    """Yield the items of all batches. Each starts after the last id of the previous one."""
    after = _FIRST
    while items := batch(after):
        yield from items
        after = items[-1].id
