"""Tasks and projects say by which write they were created, so that it can be taken back.

What is there already does not, nor what the release before creates beside this one.
"""

from alembic import op

revision = "0044"
down_revision = "0043"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("tasks", "projects"):
        op.execute(f"ALTER TABLE {table} ADD COLUMN first_version bigint")
        op.execute(f"COMMENT ON COLUMN {table}.first_version IS 'the user''s seq at the creation; null: not known'")


def downgrade() -> None:
    for table in ("tasks", "projects"):
        op.execute(f"ALTER TABLE {table} DROP COLUMN first_version")
