"""The purges of the service, and the index that each reads."""

from todo_api.accounts import recovery_statements, session_statements
from todo_api.changes import statements as change_statements
from todo_api.history import statements as history_statements
from todo_api.idempotency import statements as replies
from todo_api.mail import outbox
from todo_api.trash import statements as trash_statements

PURGES = {
    "sessions": (session_statements.PURGE, "sessions_by_expires_at"),
    "one_time_tokens": (recovery_statements.PURGE, "one_time_tokens_by_expires_at"),
    "outbox": (outbox.PURGE, "outbox_by_next_attempt_at"),
    "idempotent_replies": (replies.PURGES[0], "idempotent_replies_by_created_at"),
    "anonymous_replies": (replies.PURGES[1], "anonymous_replies_by_created_at"),
    "tombstones": (change_statements.PURGE, "tombstones_by_deleted_at"),
    "trash": (trash_statements.PURGE, "trash_by_trashed_at"),
    "history": (history_statements.PURGE, "history_by_day"),
}
