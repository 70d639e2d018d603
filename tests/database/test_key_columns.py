"""Every key begins with the user: the condition for spreading the tables by user over several servers."""

from tests.support.databases import execute

EXCEPTIONS = {
    "users_by_zone_data",
    # Unique over all users by its nature.
    "accounts_email_key",
    # Before a user is known, there is none to begin with.
    "anonymous_replies_pkey",
    "outbox_pkey",
    # What has expired is purged for all users at once. No unique key: each server of several has its own.
    "anonymous_replies_by_created_at",
    "idempotent_replies_by_created_at",
    "sessions_by_expires_at",
    "one_time_tokens_by_expires_at",
    "outbox_by_next_attempt_at",
    "tombstones_by_deleted_at",
    "trash_by_trashed_at",
    "history_by_day",
    # Not unique, and asked by the digest of a secret, before it is known whose.
    "api_keys_by_digest",
    "sessions_by_family",
    "one_time_tokens_by_digest",
}
"""Keys that do not begin with the user. A new one needs one of these reasons."""

OWNER_COLUMN = "CASE WHEN c.relname = 'users' THEN 'id' ELSE 'user_id' END"

INDEXES = f"""
    SELECT i.relname, a.attname = {OWNER_COLUMN}
    FROM pg_index x JOIN pg_class c ON c.oid = x.indrelid JOIN pg_class i ON i.oid = x.indexrelid
    LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = x.indkey[0]
    WHERE c.relnamespace = 'public'::regnamespace AND c.relname <> 'alembic_version'
"""

FOREIGN_KEYS = """
    SELECT k.conname, a.attname, f.attname, k.confrelid::regclass::text
    FROM pg_constraint k
    JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[1]
    JOIN pg_attribute f ON f.attrelid = k.confrelid AND f.attnum = k.confkey[1]
    WHERE k.contype = 'f' AND k.connamespace = 'public'::regnamespace ORDER BY 1
"""


def test_catalogue_every_index_and_key_begins_with_the_user(url: str) -> None:
    indexes = execute(url, INDEXES)
    assert {name for name, _ in indexes} >= {"users_pkey", "accounts_pkey", "tasks_pkey"}
    assert {name for name, begins in indexes if not begins} == EXCEPTIONS


def test_catalogue_every_foreign_key_begins_with_the_user(url: str) -> None:
    assert execute(url, FOREIGN_KEYS) == [
        ("accounts_user_id_fkey", "user_id", "id", "users"),
        ("api_keys_user_id_fkey", "user_id", "id", "users"),
        ("history_user_id_fkey", "user_id", "id", "users"),
        ("idempotent_replies_user_id_fkey", "user_id", "id", "users"),
        ("one_time_tokens_user_id_fkey", "user_id", "id", "users"),
        ("projects_user_id_fkey", "user_id", "id", "users"),
        ("sessions_user_id_fkey", "user_id", "id", "users"),
        ("task_labels_user_id_task_id_fkey", "user_id", "user_id", "tasks"),
        ("tasks_user_id_fkey", "user_id", "id", "users"),
        ("tasks_user_id_parent_id_fkey", "user_id", "user_id", "tasks"),
        ("tasks_user_id_project_id_fkey", "user_id", "user_id", "projects"),
        ("tombstones_user_id_fkey", "user_id", "id", "users"),
        ("trash_user_id_fkey", "user_id", "id", "users"),
    ]


def test_catalogue_every_table_has_a_primary_key(url: str) -> None:
    without = (
        "SELECT relname FROM pg_class c WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace"
        " AND NOT EXISTS (SELECT FROM pg_index WHERE indrelid = c.oid AND indisprimary)"
    )
    assert execute(url, without) == []


def test_catalogue_plan_d_index_on_user_and_creation_time_exists(url: str) -> None:
    """Plan D asks for (user, created_at DESC); PostgreSQL reads an index in either direction."""
    found = execute(url, "SELECT indexdef FROM pg_indexes WHERE indexname = 'tasks_by_created_at'")
    assert found == [("CREATE INDEX tasks_by_created_at ON public.tasks USING btree (user_id, created_at, id)",)]
