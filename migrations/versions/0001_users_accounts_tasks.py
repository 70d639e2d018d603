"""Users, their accounts and their tasks, and the two roles that reach them through row-level security."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE users (
    id text NOT NULL,
    seq bigint NOT NULL DEFAULT 0,
    pending bigint NOT NULL DEFAULT 0,
    in_progress bigint NOT NULL DEFAULT 0,
    completed bigint NOT NULL DEFAULT 0,
    cancelled bigint NOT NULL DEFAULT 0,
    name text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT users_pkey PRIMARY KEY (id),
    CONSTRAINT users_id_length_check CHECK (char_length(id) BETWEEN 1 AND 255),
    CONSTRAINT users_name_length_check CHECK (char_length(name) BETWEEN 1 AND 200)
) WITH (fillfactor = 50);
COMMENT ON COLUMN users.seq IS 'the number of the user''s last write';

CREATE TABLE accounts (
    user_id text NOT NULL,
    email text NOT NULL,
    password_hash text NOT NULL,
    CONSTRAINT accounts_pkey PRIMARY KEY (user_id),
    CONSTRAINT accounts_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,
    CONSTRAINT accounts_email_key UNIQUE (email),
    CONSTRAINT accounts_email_form_check CHECK (email = lower(email) AND char_length(email) <= 254)
);

CREATE TABLE tasks (
    user_id text NOT NULL,
    id uuid NOT NULL,
    title text COLLATE "C" NOT NULL,
    description text,
    status text NOT NULL,
    completed_at timestamptz,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    version bigint NOT NULL,
    CONSTRAINT tasks_pkey PRIMARY KEY (user_id, id),
    CONSTRAINT tasks_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,
    CONSTRAINT tasks_title_length_check CHECK (char_length(title) BETWEEN 1 AND 255),
    CONSTRAINT tasks_title_characters_check CHECK (
        title ~ '[^\\x01-\\x20\\x7f-\\xa0\\u00ad\\u1680\\u180e\\u2000-\\u200f\\u2028-\\u202f\\u205f-\\u206f\\u3000\\ufeff]'
        AND title !~ '[\\x01-\\x1f\\x7f-\\x9f]'),
    CONSTRAINT tasks_description_length_check CHECK (char_length(description) <= 5000),
    CONSTRAINT tasks_description_characters_check CHECK (description !~ '[\\x01-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\\x9f]'),
    CONSTRAINT tasks_status_known_check CHECK (status IN ('pending', 'in_progress', 'completed', 'cancelled')),
    CONSTRAINT tasks_completion_time_check CHECK ((status = 'completed') = (completed_at IS NOT NULL)),
    CONSTRAINT tasks_version_positive_check CHECK (version > 0)
);
COMMENT ON COLUMN tasks.version IS 'the user''s seq at the last write';
CREATE INDEX tasks_by_created_at ON tasks (user_id, created_at, id);
CREATE INDEX tasks_by_status_and_created_at ON tasks (user_id, status, created_at, id);
CREATE INDEX tasks_by_status_and_updated_at ON tasks (user_id, status, updated_at, id);
CREATE INDEX tasks_by_status_and_title ON tasks (user_id, status, title, id);
"""

# Roles belong to the cluster, not to the database: another database's migration may have made them, or may be making them now.
# Where somebody else made them and made us a member, that is enough: no right to create or grant roles is needed.
ROLE = """
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN
        CREATE ROLE {role} NOLOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOREPLICATION;
    END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$;
DO $$
DECLARE
    wanted text := CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'SET' ELSE 'MEMBER' END;
BEGIN
    IF NOT pg_has_role(current_user, '{role}', wanted) THEN
        GRANT {role} TO current_user;
    END IF;
END $$;
"""

WALLS = """
GRANT USAGE ON SCHEMA public TO task_api_user, task_api_login;
GRANT SELECT, INSERT, UPDATE ON users TO task_api_user;
GRANT SELECT (user_id, email) ON accounts TO task_api_user;
GRANT SELECT, INSERT, UPDATE, DELETE ON tasks TO task_api_user;
GRANT INSERT ON users TO task_api_login;
GRANT SELECT, INSERT ON accounts TO task_api_login;

ALTER TABLE users ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE accounts ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE tasks ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;

CREATE POLICY users_of_user ON users TO task_api_user
    USING (id = current_setting('app.user_id', true)) WITH CHECK (id = current_setting('app.user_id', true));
CREATE POLICY accounts_of_user ON accounts TO task_api_user
    USING (user_id = current_setting('app.user_id', true)) WITH CHECK (user_id = current_setting('app.user_id', true));
CREATE POLICY tasks_of_user ON tasks TO task_api_user
    USING (user_id = current_setting('app.user_id', true)) WITH CHECK (user_id = current_setting('app.user_id', true));

CREATE POLICY users_of_registration ON users FOR INSERT TO task_api_login WITH CHECK (true);
CREATE POLICY accounts_of_email ON accounts TO task_api_login
    USING (email = current_setting('app.email', true)) WITH CHECK (email = current_setting('app.email', true));
"""


def upgrade() -> None:
    op.execute(TABLES)
    for role in ("task_api_user", "task_api_login"):
        op.execute(ROLE.format(role=role))
    op.execute(WALLS)


def downgrade() -> None:
    # The roles stay: another database of the cluster may use them.
    op.execute("DROP TABLE tasks, accounts, users")
    op.execute("REVOKE USAGE ON SCHEMA public FROM task_api_user, task_api_login")
