"""The outbox: mails that were asked for and are not sent yet. It has addresses and purposes, and no token."""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

TABLE = """
CREATE TABLE outbox (
    email text NOT NULL,
    purpose text NOT NULL,
    attempts bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL,
    next_attempt_at timestamptz NOT NULL,
    CONSTRAINT outbox_pkey PRIMARY KEY (email, purpose),
    CONSTRAINT outbox_email_form_check CHECK (email = lower(email) AND char_length(email) <= 254),
    CONSTRAINT outbox_purpose_known_check CHECK (purpose IN ('reset', 'verify'))
);
COMMENT ON COLUMN outbox.created_at IS 'when it was last asked for';
CREATE INDEX outbox_by_next_attempt_at ON outbox (next_attempt_at);
"""

WALLS = """
GRANT SELECT, INSERT, DELETE, UPDATE (attempts, created_at, next_attempt_at) ON outbox TO task_api_login;

ALTER TABLE outbox ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;

CREATE POLICY outbox_of_email ON outbox TO task_api_login
    USING (email = current_setting('app.email', true)) WITH CHECK (email = current_setting('app.email', true));
CREATE POLICY outbox_seen_by_sender ON outbox FOR SELECT TO task_api_login
    USING (current_setting('app.sender', true) = 'outbox');
CREATE POLICY outbox_claimed_by_sender ON outbox FOR UPDATE TO task_api_login
    USING (current_setting('app.sender', true) = 'outbox');
CREATE POLICY outbox_sent_by_sender ON outbox FOR DELETE TO task_api_login
    USING (current_setting('app.sender', true) = 'outbox');
CREATE POLICY outbox_of_the_past ON outbox FOR DELETE TO task_api_login
    USING (next_attempt_at < now() - interval '1 day');
CREATE POLICY outbox_seen_by_purge ON outbox FOR SELECT TO task_api_login
    USING (current_setting('app.purge', true) = 'expired' AND next_attempt_at < now() - interval '1 day');
"""


def upgrade() -> None:
    op.execute(TABLE)
    op.execute(WALLS)


def downgrade() -> None:
    op.execute("DROP TABLE outbox")
