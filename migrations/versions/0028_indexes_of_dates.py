"""Lists are sorted by deadline in both directions, and filtered by deadlines, starts and projects.

The indexes have the tasks that have what they are for.
"""

from alembic import op

from todo_api.provisioning.online import build_indexes

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

INDEXES = {
    "tasks_by_status_and_due": "(user_id, status, due_at DESC, priority, id DESC) WHERE due_at IS NOT NULL",
    "tasks_by_status_and_latest_due": "(user_id, status, due_at, priority, id) WHERE due_at IS NOT NULL",
    "tasks_by_status_and_start": "(user_id, status, start_at, id) WHERE start_at IS NOT NULL",
    "tasks_by_project": "(user_id, project_id, status, created_at, id) WHERE project_id IS NOT NULL",
}


def upgrade() -> None:
    build_indexes(op.get_context(), "tasks", INDEXES)


def downgrade() -> None:
    op.execute(f"DROP INDEX {', '.join(INDEXES)}")
