"""Tasks have a position among their siblings.

Nothing is rewritten: the column has no value where a row is there, and its domain gets the rule after it (0009). The default is for
what the previous release writes beside this one: the microseconds of the clock, as the service has them for a new task.
"""

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

COLUMNS = """
CREATE DOMAIN position_key AS text COLLATE "C";
ALTER TABLE tasks ADD COLUMN position position_key;
ALTER TABLE tasks ALTER position
    SET DEFAULT ('m' || lpad(to_hex((extract(epoch FROM clock_timestamp()) * 1000000)::bigint), 13, '0'))::position_key;
COMMENT ON COLUMN tasks.position IS 'the order among siblings: as a user moved the task, by creation at first';
ALTER DOMAIN position_key ADD CONSTRAINT position_key_check CHECK (VALUE ~ '^m[0-9A-Za-z]{13,249}$') NOT VALID;

-- The owner sees no row without a policy. The next revision, which places what is there, drops it.
CREATE POLICY tasks_to_place ON tasks TO CURRENT_USER USING (true);
"""


def upgrade() -> None:
    op.execute(COLUMNS)


def downgrade() -> None:
    op.execute("DROP POLICY tasks_to_place ON tasks; ALTER TABLE tasks DROP COLUMN position; DROP DOMAIN position_key")
