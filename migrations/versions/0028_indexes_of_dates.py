"""Lists are sorted by deadline in both directions, and filtered by deadlines and starts, from indexes of the tasks that have them."""

from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

INDEXES = """
CREATE INDEX tasks_by_status_and_due ON tasks (user_id, status, due_at DESC, priority, id DESC) WHERE due_at IS NOT NULL;
CREATE INDEX tasks_by_status_and_latest_due ON tasks (user_id, status, due_at, priority, id) WHERE due_at IS NOT NULL;
CREATE INDEX tasks_by_status_and_start ON tasks (user_id, status, start_at, id) WHERE start_at IS NOT NULL;
"""


def upgrade() -> None:
    op.execute(INDEXES)


def downgrade() -> None:
    op.execute("DROP INDEX tasks_by_status_and_start, tasks_by_status_and_latest_due, tasks_by_status_and_due")
