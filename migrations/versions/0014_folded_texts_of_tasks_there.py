"""The tasks that are there get their folded texts, a batch at a time, so that no write waits for more than one of them.

Until then, and where a batch leaves out what somebody else has locked, a search folds them itself. Each batch is a transaction
of its own.
"""

from alembic import op
from sqlalchemy import text

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

LOCK_TIMEOUT = "10s"
"""For the last statement alone. If it fails, the next attempt begins here again, with nothing left to fold."""

SEE = "CREATE POLICY tasks_to_fold ON tasks TO CURRENT_USER USING (true)"
SEE_NO_MORE = "DROP POLICY tasks_to_fold ON tasks"

FIRST = {"user_id": "", "id": "00000000-0000-0000-0000-000000000000"}

BATCH = """
WITH batch AS (
    SELECT user_id, id FROM tasks
    WHERE (user_id, id) > (:user_id, CAST(:id AS uuid))
        AND (title_folded IS NULL AND octet_length(title) <> char_length(title)
            OR description_folded IS NULL AND octet_length(description) <> char_length(description))
    ORDER BY user_id, id LIMIT 500 FOR UPDATE SKIP LOCKED),
done AS (
    UPDATE tasks SET
        title_folded = CASE WHEN octet_length(title) <> char_length(title) THEN fold_case(title) END,
        description_folded = CASE WHEN octet_length(description) <> char_length(description) THEN fold_case(description) END
    FROM batch WHERE tasks.user_id = batch.user_id AND tasks.id = batch.id)
SELECT user_id, CAST(id AS text) AS id FROM batch ORDER BY user_id DESC, id DESC LIMIT 1
"""


def upgrade() -> None:
    connection = op.get_bind()
    first = connection.execute(text(BATCH), FIRST).mappings().first()
    if first is not None:
        with op.get_context().autocommit_block():
            last = dict(first)
            while row := connection.execute(text(BATCH), last).mappings().first():
                last = dict(row)
        op.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
    op.execute(SEE_NO_MORE)


def downgrade() -> None:
    op.execute(SEE)
