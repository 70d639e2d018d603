"""Every task that is in a project is in one that is there.

In a transaction of its own: the one that adds a constraint keeps others out to its end.
"""

from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE tasks VALIDATE CONSTRAINT tasks_user_id_project_id_fkey")


def downgrade() -> None:
    op.execute(
        "ALTER TABLE tasks DROP CONSTRAINT tasks_user_id_project_id_fkey, ADD CONSTRAINT tasks_user_id_project_id_fkey"
        " FOREIGN KEY (user_id, project_id) REFERENCES projects (user_id, id) NOT VALID"
    )
