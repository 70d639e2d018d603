"""Every task has a position, and lists are sorted by it.

In a transaction of its own, since the one that adds a constraint keeps others out to its end. The constraint tells SET NOT NULL, which
comes last, that it need not look at the rows.
"""

from alembic import op

from todo_api.provisioning.online import build_indexes

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

INDEX = {"tasks_by_status_and_position": "(user_id, status, position, id)"}

SORTED = """
ALTER TABLE tasks VALIDATE CONSTRAINT tasks_position_check;
ALTER TABLE tasks ALTER position SET NOT NULL;
ALTER TABLE tasks DROP CONSTRAINT tasks_position_check;
"""

NOT_SORTED = """
ALTER TABLE tasks ADD CONSTRAINT tasks_position_check CHECK (position IS NOT NULL) NOT VALID;
ALTER TABLE tasks ALTER position DROP NOT NULL;
DROP INDEX tasks_by_status_and_position;
"""


def upgrade() -> None:
    build_indexes(op.get_context(), "tasks", INDEX)
    op.execute(SORTED)


def downgrade() -> None:
    op.execute(NOT_SORTED)
