"""The account has a version, and its user may delete it with all that is theirs."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE users ADD COLUMN version bigint NOT NULL DEFAULT 0")
    op.execute("COMMENT ON COLUMN users.version IS 'seq at the account''s last write'")
    op.execute("GRANT DELETE ON users TO task_api_user")


def downgrade() -> None:
    op.execute("REVOKE DELETE ON users FROM task_api_user")
    op.execute("ALTER TABLE users DROP COLUMN version")
