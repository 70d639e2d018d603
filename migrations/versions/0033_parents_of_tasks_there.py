"""Every task that has a parent has one that is there.

In a transaction of its own: the one that adds a constraint keeps others out to its end.
"""

from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE tasks VALIDATE CONSTRAINT tasks_user_id_parent_id_fkey")


def downgrade() -> None:
    op.execute(
        "ALTER TABLE tasks DROP CONSTRAINT tasks_user_id_parent_id_fkey, ADD CONSTRAINT tasks_user_id_parent_id_fkey"
        " FOREIGN KEY (user_id, parent_id) REFERENCES tasks (user_id, id) NOT VALID"
    )
