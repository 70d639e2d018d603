"""A task can be in a project. Null is the inbox, where every task that is there is.

The column is new, so the foreign key need not look at a row (`NOT VALID`). The index comes later (0028): its build reads every row.
"""

from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

COLUMN = """
ALTER TABLE tasks ADD COLUMN project_id uuid;
COMMENT ON COLUMN tasks.project_id IS 'null: the inbox';
ALTER TABLE tasks ADD CONSTRAINT tasks_user_id_project_id_fkey
    FOREIGN KEY (user_id, project_id) REFERENCES projects (user_id, id) NOT VALID;
"""


def upgrade() -> None:
    op.execute(COLUMN)


def downgrade() -> None:
    op.execute("ALTER TABLE tasks DROP COLUMN project_id")
