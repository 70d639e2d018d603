"""What is deleted leaves a tombstone, by which a client learns of it: its kind, its id, and the number of the deletion.

A trigger writes them, so that no statement can leave one out, nor the release before, which deletes beside this one.
The user is asked for: an account that is deleted takes its tasks along, and leaves nothing.
"""

from alembic import op

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None

TABLE = """
CREATE TABLE tombstones (
    user_id text NOT NULL,
    kind text NOT NULL,
    id uuid NOT NULL,
    version bigint NOT NULL,
    deleted_at timestamptz NOT NULL,
    CONSTRAINT tombstones_pkey PRIMARY KEY (user_id, kind, id),
    CONSTRAINT tombstones_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,
    CONSTRAINT tombstones_kind_known_check CHECK (kind IN ('project', 'task'))
);
COMMENT ON COLUMN tombstones.version IS 'the user''s seq at the deletion';
CREATE INDEX tombstones_by_version ON tombstones (user_id, kind, version, id);
CREATE INDEX tombstones_by_deleted_at ON tombstones (deleted_at);
ALTER TABLE users ADD COLUMN horizon bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN users.horizon IS 'the highest version of a tombstone that was purged';
"""

WALLS = """
GRANT SELECT, INSERT, UPDATE ON tombstones TO task_api_user;
GRANT SELECT, DELETE ON tombstones TO task_api_login;
GRANT SELECT (horizon), UPDATE (horizon) ON users TO task_api_login;
ALTER TABLE tombstones ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tombstones_of_user ON tombstones TO task_api_user
    USING (user_id = current_setting('app.user_id', true)) WITH CHECK (user_id = current_setting('app.user_id', true));
"""

# The purge sees and deletes what has expired, and nothing else, whatever its statement asks for.
PURGE = """
CREATE POLICY tombstones_seen_by_purge ON tombstones FOR SELECT TO task_api_login
    USING (current_setting('app.purge', true) = 'expired' AND deleted_at < now() - interval '90 days');
CREATE POLICY tombstones_of_purge ON tombstones FOR DELETE TO task_api_login
    USING (current_setting('app.purge', true) = 'expired' AND deleted_at < now() - interval '90 days');
CREATE POLICY users_seen_by_purge ON users FOR SELECT TO task_api_login
    USING (current_setting('app.purge', true) = 'expired');
CREATE POLICY users_of_purge ON users FOR UPDATE TO task_api_login
    USING (current_setting('app.purge', true) = 'expired') WITH CHECK (current_setting('app.purge', true) = 'expired');
"""

TRIGGERS = """
CREATE FUNCTION bury() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tombstones (user_id, kind, id, version, deleted_at)
        SELECT gone.user_id, TG_ARGV[0], gone.id, users.seq, clock_timestamp()
        FROM gone JOIN users ON users.id = gone.user_id
        ON CONFLICT (user_id, kind, id) DO UPDATE SET version = excluded.version, deleted_at = excluded.deleted_at;
    RETURN NULL;
END $$;
CREATE TRIGGER tasks_bury AFTER DELETE ON tasks
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION bury('task');
CREATE TRIGGER projects_bury AFTER DELETE ON projects
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION bury('project');
"""


def upgrade() -> None:
    op.execute(TABLE)
    op.execute(WALLS)
    op.execute(PURGE)
    op.execute(TRIGGERS)


def downgrade() -> None:
    op.execute(
        "DROP TRIGGER tasks_bury ON tasks; DROP TRIGGER projects_bury ON projects; DROP FUNCTION bury;"
        " DROP POLICY users_seen_by_purge ON users; DROP POLICY users_of_purge ON users;"
        " DROP TABLE tombstones; ALTER TABLE users DROP COLUMN horizon"
    )
