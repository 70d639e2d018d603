"""Tasks say who created them: the kind and the id of the credential, and the name that an API key had then.

What is there already does not, nor what the release before creates beside this one.
"""

from alembic import op

revision = "0045"
down_revision = "0044"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE tasks ADD COLUMN created_by text")
    op.execute("COMMENT ON COLUMN tasks.created_by IS 'kind, id and name of the credential; null: none, or not known'")


def downgrade() -> None:
    op.execute("ALTER TABLE tasks DROP COLUMN created_by")
