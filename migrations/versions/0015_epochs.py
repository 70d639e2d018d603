"""A user's row has an epoch, which tags and cursors name: another for each row that is made, and for each restore.

Rows that are there keep 0: a random value for each would rewrite the table while it is locked.
"""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE users ADD COLUMN epoch bigint NOT NULL DEFAULT 0")
    op.execute("ALTER TABLE users ALTER epoch SET DEFAULT (random() * 9007199254740991)::bigint")
    op.execute("COMMENT ON COLUMN users.epoch IS 'another after a restore'")


def downgrade() -> None:
    op.execute("ALTER TABLE users DROP COLUMN epoch")
