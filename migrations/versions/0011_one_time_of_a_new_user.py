"""A new user was made and last changed at one time, not at two readings of the clock a microsecond apart."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE users ALTER created_at SET DEFAULT statement_timestamp()")
    op.execute("ALTER TABLE users ALTER updated_at SET DEFAULT statement_timestamp()")


def downgrade() -> None:
    op.execute("ALTER TABLE users ALTER created_at SET DEFAULT clock_timestamp()")
    op.execute("ALTER TABLE users ALTER updated_at SET DEFAULT clock_timestamp()")
