"""Lists are sorted by priority, each half of the tasks, with and without a deadline, from an index of its own.

A task has one of the two. The half without a deadline is also the end of a list that is sorted by deadlines.
"""

from alembic import op

from todo_api.provisioning.online import build_indexes

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

INDEXES = {
    "tasks_by_status_and_priority": "(user_id, status, priority, id) WHERE due_at IS NULL",
    "tasks_with_due_by_status_and_priority": "(user_id, status, priority, id) WHERE due_at IS NOT NULL",
}


def upgrade() -> None:
    build_indexes(op.get_context(), "tasks", INDEXES)


def downgrade() -> None:
    op.execute("DROP INDEX tasks_with_due_by_status_and_priority, tasks_by_status_and_priority")
