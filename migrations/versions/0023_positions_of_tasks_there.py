"""The tasks that are there get the position of their creation, a batch at a time, so that no write waits for more than one of them.

Each batch is a transaction of its own. What somebody else has locked comes last. From then on every row has a position.
"""

from alembic import op
from sqlalchemy import text

from todo_api.provisioning.online import limit

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

LOCK_TIMEOUT = "10s"
"""For the last statements alone. If one fails, the next attempt begins here again, with nothing left but what was locked."""

FIRST = {"user_id": "", "id": "00000000-0000-0000-0000-000000000000"}

BATCH = """
WITH batch AS (
    SELECT user_id, id FROM tasks
    WHERE (user_id, id) > (:user_id, CAST(:id AS uuid)) AND position IS NULL
    ORDER BY user_id, id LIMIT 500 FOR UPDATE SKIP LOCKED),
done AS (
    UPDATE tasks SET position = 'm' || lpad(to_hex(CAST(extract(epoch FROM created_at) * 1000000 AS bigint)), 13, '0')
    FROM batch WHERE tasks.user_id = batch.user_id AND tasks.id = batch.id)
SELECT user_id, CAST(id AS text) AS id FROM batch ORDER BY user_id DESC, id DESC LIMIT 1
"""

REST = """
UPDATE tasks SET position = 'm' || lpad(to_hex(CAST(extract(epoch FROM created_at) * 1000000 AS bigint)), 13, '0')
WHERE position IS NULL
"""

ALL_PLACED = """
ALTER TABLE tasks ADD CONSTRAINT tasks_position_check CHECK (position IS NOT NULL) NOT VALID;
DROP POLICY tasks_to_place ON tasks;
"""

NOT_PLACED = """
CREATE POLICY tasks_to_place ON tasks TO CURRENT_USER USING (true);
ALTER TABLE tasks DROP CONSTRAINT tasks_position_check;
"""


def upgrade() -> None:
    connection = op.get_bind()
    first = connection.execute(text(BATCH), FIRST).mappings().first()
    if first is not None:
        with op.get_context().autocommit_block():
            last = dict(first)
            while row := connection.execute(text(BATCH), last).mappings().first():
                last = dict(row)
        limit(connection)
        op.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
    op.execute(REST)
    op.execute(ALL_PLACED)


def downgrade() -> None:
    op.execute(NOT_PLACED)
