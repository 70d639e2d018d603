"""Replies that are kept for a retry, each owner's for the owner alone, and expired ones for the purge to delete."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE idempotent_replies (
    user_id text NOT NULL,
    key bytea NOT NULL,
    request bytea NOT NULL,
    reply bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT idempotent_replies_pkey PRIMARY KEY (user_id, key),
    CONSTRAINT idempotent_replies_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,
    CONSTRAINT idempotent_replies_digest_length_check CHECK (octet_length(key) = 32 AND octet_length(request) = 32)
);
COMMENT ON COLUMN idempotent_replies.key IS 'a digest of the Idempotency-Key';
COMMENT ON COLUMN idempotent_replies.request IS 'a digest of what was asked';
COMMENT ON COLUMN idempotent_replies.reply IS 'sealed under the Idempotency-Key and what was asked';
CREATE INDEX idempotent_replies_by_created_at ON idempotent_replies (created_at);

CREATE TABLE anonymous_replies (
    request text COLLATE "C" NOT NULL,
    reply bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT anonymous_replies_pkey PRIMARY KEY (request),
    CONSTRAINT anonymous_replies_digest_form_check CHECK (request ~ '^[0-9a-f]{64}$')
);
COMMENT ON COLUMN anonymous_replies.request IS 'a digest of the Idempotency-Key and what was asked';
COMMENT ON COLUMN anonymous_replies.reply IS 'sealed under the Idempotency-Key and what was asked';
CREATE INDEX anonymous_replies_by_created_at ON anonymous_replies (created_at);
"""

WALLS = """
GRANT SELECT, INSERT, DELETE ON idempotent_replies TO task_api_user;
GRANT SELECT (user_id, key, created_at), DELETE ON idempotent_replies TO task_api_login;
GRANT SELECT, INSERT, DELETE ON anonymous_replies TO task_api_login;

ALTER TABLE idempotent_replies ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE anonymous_replies ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;

CREATE POLICY idempotent_replies_of_user ON idempotent_replies TO task_api_user
    USING (user_id = current_setting('app.user_id', true)) WITH CHECK (user_id = current_setting('app.user_id', true));
CREATE POLICY anonymous_replies_of_request ON anonymous_replies TO task_api_login
    USING (request = current_setting('app.request', true)) WITH CHECK (request = current_setting('app.request', true));
"""

# The purge sees and deletes what has expired, and nothing else, whatever its statement asks for.
PURGE = """
CREATE POLICY {table}_seen_by_purge ON {table} FOR SELECT TO task_api_login
    USING (current_setting('app.purge', true) = 'expired' AND created_at < now() - interval '24 hours');
CREATE POLICY {table}_of_purge ON {table} FOR DELETE TO task_api_login
    USING (current_setting('app.purge', true) = 'expired' AND created_at < now() - interval '24 hours');
"""


def upgrade() -> None:
    op.execute(TABLES)
    op.execute(WALLS)
    for table in ("idempotent_replies", "anonymous_replies"):
        op.execute(PURGE.format(table=table))


def downgrade() -> None:
    op.execute("DROP TABLE idempotent_replies, anonymous_replies")
