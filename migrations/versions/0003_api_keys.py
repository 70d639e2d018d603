"""API keys: those of a user, found by their digest before the user is known."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TABLE = """
CREATE TABLE api_keys (
    user_id text NOT NULL,
    id uuid NOT NULL,
    name text NOT NULL,
    scopes text[] NOT NULL,
    hint text NOT NULL,
    digest text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    last_used_at timestamptz,
    CONSTRAINT api_keys_pkey PRIMARY KEY (user_id, id),
    CONSTRAINT api_keys_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,
    CONSTRAINT api_keys_name_length_check CHECK (char_length(name) BETWEEN 1 AND 100),
    CONSTRAINT api_keys_name_characters_check CHECK (
        name ~ '[^\\x01-\\x20\\x7f-\\xa0\\u00ad\\u1680\\u180e\\u2000-\\u200f\\u2028-\\u202f\\u205f-\\u206f\\u3000\\ufeff]'
        AND name !~ '[\\x01-\\x1f\\x7f-\\x9f]'),
    CONSTRAINT api_keys_scopes_known_check CHECK (
        cardinality(scopes) > 0 AND scopes <@ ARRAY['tasks:read', 'tasks:write', 'account']),
    CONSTRAINT api_keys_digest_form_check CHECK (digest ~ '^[0-9a-f]{64}$'),
    CONSTRAINT api_keys_expiry_later_check CHECK (expires_at > created_at)
) WITH (fillfactor = 80);
COMMENT ON COLUMN api_keys.hint IS 'what the key begins with';
COMMENT ON COLUMN api_keys.digest IS 'SHA-256 of the key, in hexadecimal';
CREATE INDEX api_keys_by_digest ON api_keys (digest);

ALTER TABLE users ADD COLUMN api_keys bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN users.api_keys IS 'how many there are';
"""

WALLS = """
GRANT SELECT (user_id, id, name, scopes, hint, created_at, expires_at, last_used_at) ON api_keys TO task_api_user;
GRANT INSERT, DELETE ON api_keys TO task_api_user;
GRANT SELECT (user_id, id, scopes, digest, created_at, expires_at, last_used_at) ON api_keys TO task_api_login;
GRANT UPDATE (last_used_at) ON api_keys TO task_api_login;

ALTER TABLE api_keys ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;

CREATE POLICY api_keys_of_user ON api_keys TO task_api_user
    USING (user_id = current_setting('app.user_id', true)) WITH CHECK (user_id = current_setting('app.user_id', true));
CREATE POLICY api_keys_of_look_up ON api_keys FOR SELECT TO task_api_login
    USING (digest = current_setting('app.key_digest', true));
CREATE POLICY api_keys_of_use ON api_keys FOR UPDATE TO task_api_login
    USING (digest = current_setting('app.key_digest', true));
"""


def upgrade() -> None:
    op.execute(TABLE)
    op.execute(WALLS)


def downgrade() -> None:
    op.execute("DROP TABLE api_keys")
    op.execute("ALTER TABLE users DROP COLUMN api_keys")
