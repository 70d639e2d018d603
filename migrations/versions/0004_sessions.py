"""Sessions of the service's own accounts, found by their refresh token before the user is known."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TABLE = """
CREATE TABLE sessions (
    user_id text NOT NULL,
    id uuid NOT NULL,
    family text COLLATE "C" NOT NULL,
    digest text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL,
    refreshed_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    CONSTRAINT sessions_pkey PRIMARY KEY (user_id, id),
    CONSTRAINT sessions_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,
    CONSTRAINT sessions_digest_form_check CHECK (family ~ '^[0-9a-f]{64}$' AND digest ~ '^[0-9a-f]{64}$'),
    CONSTRAINT sessions_time_order_check CHECK (expires_at > refreshed_at AND refreshed_at >= created_at)
) WITH (fillfactor = 70);
COMMENT ON COLUMN sessions.family IS 'SHA-256 of what all its refresh tokens begin with';
COMMENT ON COLUMN sessions.digest IS 'SHA-256 of the refresh token that holds';
CREATE INDEX sessions_by_family ON sessions (family);

ALTER TABLE accounts ADD COLUMN passwords bigint NOT NULL DEFAULT 1;
COMMENT ON COLUMN accounts.passwords IS 'how many there have been';
"""

WALLS = """
GRANT SELECT (user_id, id, created_at, refreshed_at, expires_at) ON sessions TO task_api_user;
GRANT INSERT, DELETE ON sessions TO task_api_user;
GRANT SELECT, UPDATE (digest, refreshed_at, expires_at), DELETE ON sessions TO task_api_login;
GRANT SELECT (passwords), UPDATE (email, password_hash, passwords) ON accounts TO task_api_user;

ALTER TABLE sessions ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;

CREATE POLICY sessions_of_user ON sessions TO task_api_user
    USING (user_id = current_setting('app.user_id', true)) WITH CHECK (user_id = current_setting('app.user_id', true));
CREATE POLICY sessions_of_refresh ON sessions TO task_api_login
    USING (family = current_setting('app.session', true)) WITH CHECK (family = current_setting('app.session', true));
CREATE POLICY sessions_of_the_past ON sessions FOR DELETE TO task_api_login USING (expires_at < now());
"""


def upgrade() -> None:
    op.execute(TABLE)
    op.execute(WALLS)


def downgrade() -> None:
    op.execute("DROP TABLE sessions")
    op.execute("REVOKE UPDATE (email, password_hash) ON accounts FROM task_api_user")
    op.execute("ALTER TABLE accounts DROP COLUMN passwords")
