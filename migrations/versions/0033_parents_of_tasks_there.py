"""Every task that has a parent has one that is there, and children are found by an index of the tasks that have a parent.

In a transaction of its own: the one that adds a constraint keeps others out to its end.
"""

from alembic import op

from todo_api.provisioning.online import build_indexes

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None


INDEX = {"tasks_by_parent": "(user_id, parent_id, position, id) WHERE parent_id IS NOT NULL"}


def upgrade() -> None:
    build_indexes(op.get_context(), "tasks", INDEX)
    op.execute("ALTER TABLE tasks VALIDATE CONSTRAINT tasks_user_id_parent_id_fkey")


def downgrade() -> None:
    op.execute(
        "DROP INDEX tasks_by_parent;"
        " ALTER TABLE tasks DROP CONSTRAINT tasks_user_id_parent_id_fkey, ADD CONSTRAINT tasks_user_id_parent_id_fkey"
        " FOREIGN KEY (user_id, parent_id) REFERENCES tasks (user_id, id) NOT VALID"
    )
