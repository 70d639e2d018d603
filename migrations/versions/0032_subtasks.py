"""A task can be part of another, its parent, which counts its children.

The columns are new, so the foreign key need not look at a row (`NOT VALID`). The index comes later (0033): its build reads every row.
"""

from alembic import op

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None

COLUMNS = """
ALTER TABLE tasks ADD COLUMN parent_id uuid, ADD COLUMN children smallint NOT NULL DEFAULT 0;
COMMENT ON COLUMN tasks.parent_id IS 'null: none';
COMMENT ON COLUMN tasks.children IS 'how many there are';
ALTER TABLE tasks ADD CONSTRAINT tasks_user_id_parent_id_fkey
    FOREIGN KEY (user_id, parent_id) REFERENCES tasks (user_id, id) NOT VALID;
"""


def upgrade() -> None:
    op.execute(COLUMNS)


def downgrade() -> None:
    op.execute("ALTER TABLE tasks DROP COLUMN children, DROP COLUMN parent_id")
