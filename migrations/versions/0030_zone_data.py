"""A user's row says with which time zone data the instants of the dates of their tasks were computed.

For users who have dates already that is not known: they are the first whose instants are computed anew. They are found by the
indexes of the tasks with dates (0028): nobody reads `users` until it is done. The index of the column comes later (0034).
"""

from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None

COLUMN = """
ALTER TABLE users ADD COLUMN zone_data bigint;
COMMENT ON COLUMN users.zone_data IS
    'the oldest time zone data with which instants of the user''s tasks were computed; null: there are none';
GRANT SELECT (zone_data) ON users TO task_api_login;
SET LOCAL enable_seqscan = off;
ALTER TABLE users NO FORCE ROW LEVEL SECURITY;
CREATE POLICY tasks_with_dates ON tasks FOR SELECT TO CURRENT_USER USING (due_at IS NOT NULL OR start_at IS NOT NULL);
UPDATE users SET zone_data = 0 WHERE id IN (
    SELECT user_id FROM tasks WHERE due_at IS NOT NULL UNION SELECT user_id FROM tasks WHERE start_at IS NOT NULL);
DROP POLICY tasks_with_dates ON tasks;
ALTER TABLE users FORCE ROW LEVEL SECURITY;
"""


def upgrade() -> None:
    op.execute(COLUMN)


def downgrade() -> None:
    op.execute("REVOKE SELECT (zone_data) ON users FROM task_api_login; ALTER TABLE users DROP COLUMN zone_data")
