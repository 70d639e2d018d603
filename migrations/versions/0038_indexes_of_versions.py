"""Tasks and projects are found by the number of their last write: the feed of changes goes by it."""

from alembic import op

from todo_api.provisioning.online import build_indexes

revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None


def upgrade() -> None:
    build_indexes(op.get_context(), "tasks", {"tasks_by_version": "(user_id, version, id)"})
    build_indexes(op.get_context(), "projects", {"projects_by_version": "(user_id, version, id)"})


def downgrade() -> None:
    op.execute("DROP INDEX tasks_by_version, projects_by_version")
