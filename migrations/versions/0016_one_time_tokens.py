"""One-time tokens, with which a user who has forgotten the password sets another, and a list of users for operators.

The roles gain rights on existing tables: under a lock that readers and writers do not wait for, and policies for a moment.
"""

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

TABLE = """
CREATE TABLE one_time_tokens (
    user_id text NOT NULL,
    id uuid NOT NULL,
    purpose text NOT NULL,
    digest text COLLATE "C" NOT NULL,
    email text NOT NULL,
    passwords bigint NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    CONSTRAINT one_time_tokens_pkey PRIMARY KEY (user_id, id),
    CONSTRAINT one_time_tokens_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,
    CONSTRAINT one_time_tokens_digest_form_check CHECK (digest ~ '^[0-9a-f]{64}$'),
    CONSTRAINT one_time_tokens_purpose_known_check CHECK (purpose IN ('reset', 'verify')),
    CONSTRAINT one_time_tokens_expiry_later_check CHECK (expires_at > created_at)
);
COMMENT ON COLUMN one_time_tokens.digest IS 'SHA-256 of the token, in hexadecimal';
COMMENT ON COLUMN one_time_tokens.email IS 'the address of the account when the token was made';
COMMENT ON COLUMN one_time_tokens.passwords IS 'how many passwords the account had had by then';
CREATE INDEX one_time_tokens_by_digest ON one_time_tokens (digest);
CREATE INDEX one_time_tokens_by_expires_at ON one_time_tokens (expires_at);
"""

WALLS = """
GRANT SELECT (user_id, id, purpose, email, passwords, created_at, expires_at) ON one_time_tokens TO task_api_user;
GRANT INSERT, DELETE ON one_time_tokens TO task_api_user;
GRANT SELECT, DELETE ON one_time_tokens TO task_api_login;

ALTER TABLE one_time_tokens ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;

CREATE POLICY one_time_tokens_of_user ON one_time_tokens TO task_api_user
    USING (user_id = current_setting('app.user_id', true)) WITH CHECK (user_id = current_setting('app.user_id', true));
CREATE POLICY one_time_tokens_of_digest ON one_time_tokens FOR SELECT TO task_api_login
    USING (digest = current_setting('app.one_time_token', true));
CREATE POLICY one_time_tokens_of_the_past ON one_time_tokens FOR DELETE TO task_api_login USING (expires_at < now());
CREATE POLICY one_time_tokens_seen_by_purge ON one_time_tokens FOR SELECT TO task_api_login
    USING (current_setting('app.purge', true) = 'expired' AND expires_at < now());
"""

LISTED = """
GRANT SELECT (id, name, created_at) ON users TO task_api_login;
CREATE POLICY users_listed ON users FOR SELECT TO task_api_login USING (current_setting('app.operator', true) = 'list');
CREATE POLICY accounts_listed ON accounts FOR SELECT TO task_api_login
    USING (current_setting('app.operator', true) = 'list');
"""

NOT_LISTED = """
DROP POLICY accounts_listed ON accounts;
DROP POLICY users_listed ON users;
REVOKE SELECT (id, name, created_at) ON users FROM task_api_login;
"""


def upgrade() -> None:
    op.execute(TABLE)
    op.execute(WALLS)
    op.execute(LISTED)


def downgrade() -> None:
    op.execute(NOT_LISTED)
    op.execute("DROP TABLE one_time_tokens")
