"""An account says when its e-mail address was verified, and whether somebody registered it again before that.

Addresses of accounts that are there are not verified: nobody has shown that they reach their owner.
"""

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

COLUMNS = """
ALTER TABLE accounts ADD COLUMN email_verified_at timestamptz,
    ADD COLUMN registered_again boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN accounts.email_verified_at IS 'when the address was last shown to be the user''s';
COMMENT ON COLUMN accounts.registered_again IS 'whether the address was registered again before it was verified';
GRANT SELECT (email_verified_at, registered_again), UPDATE (email_verified_at, registered_again)
    ON accounts TO task_api_user;
GRANT UPDATE (registered_again) ON accounts TO task_api_login;
"""


def upgrade() -> None:
    op.execute(COLUMNS)


def downgrade() -> None:
    op.execute("ALTER TABLE accounts DROP COLUMN email_verified_at, DROP COLUMN registered_again")
