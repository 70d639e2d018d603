"""The tables, their constraints, and the roles that use them.

`tables` has those of what is there now, `past` those of what was, which triggers write. Migrations
make them, row-level security and the functions of check constraints.
"""

from todo_api.models.past import history, tombstones, trash
from todo_api.models.tables import (
    EPOCH,
    KEY_SCOPES,
    LOGIN_ROLE,
    MOST_AT_ONCE,
    MOST_KEYS,
    MOST_PROJECTS,
    PRIORITIES,
    REPLIES_KEPT,
    STATUSES,
    TOMBSTONES_KEPT,
    USER_ROLE,
    accounts,
    anonymous_replies,
    api_keys,
    idempotent_replies,
    metadata,
    one_time_tokens,
    outbox,
    projects,
    sessions,
    task_labels,
    tasks,
    users,
)

__all__ = [
    "EPOCH",
    "KEY_SCOPES",
    "LOGIN_ROLE",
    "MOST_AT_ONCE",
    "MOST_KEYS",
    "MOST_PROJECTS",
    "PRIORITIES",
    "REPLIES_KEPT",
    "STATUSES",
    "TOMBSTONES_KEPT",
    "USER_ROLE",
    "accounts",
    "anonymous_replies",
    "api_keys",
    "history",
    "idempotent_replies",
    "metadata",
    "one_time_tokens",
    "outbox",
    "projects",
    "sessions",
    "task_labels",
    "tasks",
    "tombstones",
    "trash",
    "users",
]
