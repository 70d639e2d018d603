"""What is deleted goes to the trash, from where it can be brought back.

A trigger copies it, so that no statement can leave it out, nor the release before, which deletes beside this one. It copies nothing
where `app.permanent` is on, nor of an account that is deleted with its tasks.

A root is what was deleted by itself; all else went along with one. A task below a task that is gone already went along with that: so it
is where the release before deletes (0041).
"""

from alembic import op

revision = "0042"
down_revision = "0041"
branch_labels = None
depends_on = None

TABLE = """
CREATE TABLE trash (
    user_id text NOT NULL,
    kind text NOT NULL,
    id uuid NOT NULL,
    root_kind text NOT NULL,
    root_id uuid NOT NULL,
    version bigint NOT NULL,
    title text COLLATE "C" NOT NULL,
    trashed_at timestamptz NOT NULL,
    content jsonb NOT NULL,
    CONSTRAINT trash_pkey PRIMARY KEY (user_id, kind, id),
    CONSTRAINT trash_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,
    CONSTRAINT trash_kind_known_check CHECK (kind IN ('project', 'task') AND root_kind IN ('project', 'task'))
);
COMMENT ON COLUMN trash.root_id IS 'what it went to the trash with: itself, or what it belonged to';
COMMENT ON COLUMN trash.version IS 'the user''s seq at the deletion';
COMMENT ON COLUMN trash.content IS 'the row as it was, without nulls';
CREATE INDEX trash_of_roots ON trash (user_id, version, id) WHERE root_id = id AND root_kind = kind;
CREATE INDEX trash_by_root ON trash (user_id, root_id) WHERE root_id <> id OR root_kind <> kind;
CREATE INDEX trash_by_trashed_at ON trash (trashed_at);
"""

WALLS = """
GRANT SELECT, INSERT, DELETE ON trash TO task_api_user;
GRANT SELECT, DELETE ON trash TO task_api_login;
ALTER TABLE trash ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY trash_of_user ON trash TO task_api_user
    USING (user_id = current_setting('app.user_id', true)) WITH CHECK (user_id = current_setting('app.user_id', true));
"""

# The purge sees and deletes what has been there for so many days, and nothing else, whatever its statement asks for.
PURGE = """
CREATE POLICY trash_seen_by_purge ON trash FOR SELECT TO task_api_login
    USING (trashed_at < now() - make_interval(days => nullif(current_setting('app.trash_days', true), '')::integer));
CREATE POLICY trash_of_purge ON trash FOR DELETE TO task_api_login
    USING (trashed_at < now() - make_interval(days => nullif(current_setting('app.trash_days', true), '')::integer));
"""

# Most that is deleted is a task without a parent, for which the recursion would cost as much as all else.
TRIGGERS = """
CREATE FUNCTION trash_tasks() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('app.permanent', true) = 'on' THEN
        RETURN NULL;
    ELSIF NOT EXISTS (SELECT FROM gone WHERE parent_id IS NOT NULL) THEN
        INSERT INTO trash (user_id, kind, id, root_kind, root_id, version, title, trashed_at, content)
            SELECT gone.user_id, 'task', gone.id,
                CASE WHEN project.id IS NOT DISTINCT FROM gone.project_id THEN 'task' ELSE 'project' END,
                CASE WHEN project.id IS NOT DISTINCT FROM gone.project_id THEN gone.id ELSE gone.project_id END,
                users.seq, gone.title, clock_timestamp(), jsonb_strip_nulls(to_jsonb(gone))
            FROM gone JOIN users ON users.id = gone.user_id
            LEFT JOIN projects project ON project.user_id = gone.user_id AND project.id = gone.project_id;
        RETURN NULL;
    END IF;
    WITH RECURSIVE line (user_id, id, root_kind, root_id) AS (
        SELECT gone.user_id, gone.id,
            CASE WHEN project.id IS NOT DISTINCT FROM gone.project_id THEN 'task' ELSE 'project' END,
            CASE WHEN project.id IS DISTINCT FROM gone.project_id THEN gone.project_id
                WHEN parent.id IS DISTINCT FROM gone.parent_id THEN gone.parent_id ELSE gone.id END
        FROM gone
        LEFT JOIN projects project ON project.user_id = gone.user_id AND project.id = gone.project_id
        LEFT JOIN tasks parent ON parent.user_id = gone.user_id AND parent.id = gone.parent_id
        WHERE NOT EXISTS (SELECT FROM gone above WHERE above.user_id = gone.user_id AND above.id = gone.parent_id)
        UNION ALL
        SELECT gone.user_id, gone.id, line.root_kind, line.root_id
        FROM gone JOIN line ON line.user_id = gone.user_id AND line.id = gone.parent_id)
    INSERT INTO trash (user_id, kind, id, root_kind, root_id, version, title, trashed_at, content)
        SELECT gone.user_id, 'task', gone.id, line.root_kind, line.root_id, users.seq, gone.title, clock_timestamp(),
            jsonb_strip_nulls(to_jsonb(gone))
        FROM gone JOIN users ON users.id = gone.user_id JOIN line ON line.user_id = gone.user_id AND line.id = gone.id;
    RETURN NULL;
END $$;
CREATE FUNCTION trash_projects() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('app.permanent', true) = 'on' THEN
        RETURN NULL;
    END IF;
    INSERT INTO trash (user_id, kind, id, root_kind, root_id, version, title, trashed_at, content)
        SELECT gone.user_id, 'project', gone.id, 'project', gone.id, users.seq, gone.name, clock_timestamp(),
            jsonb_strip_nulls(to_jsonb(gone))
        FROM gone JOIN users ON users.id = gone.user_id;
    RETURN NULL;
END $$;
CREATE TRIGGER tasks_trash AFTER DELETE ON tasks
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION trash_tasks();
CREATE TRIGGER projects_trash AFTER DELETE ON projects
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION trash_projects();
"""

# A new statement inside of a function sees what was committed while the one around it waited for the user's row.
TAKEN = """
CREATE FUNCTION trash_has(of_user text, of_kind text, of_id uuid) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    RETURN EXISTS (SELECT FROM trash WHERE user_id = of_user AND kind = of_kind AND id = of_id);
END $$;
GRANT EXECUTE ON FUNCTION trash_has TO task_api_user;
"""


def upgrade() -> None:
    op.execute(TABLE)
    op.execute(WALLS)
    op.execute(PURGE)
    op.execute(TRIGGERS)
    op.execute(TAKEN)


def downgrade() -> None:
    op.execute("DROP TRIGGER tasks_trash ON tasks; DROP TRIGGER projects_trash ON projects")
    op.execute("DROP FUNCTION trash_tasks, trash_projects, trash_has")
    op.execute("DROP TABLE trash")
