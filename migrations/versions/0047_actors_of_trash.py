"""What is in the trash says who deleted it: the kind and the id of the credential, and the name that an API key had then.

What is there already does not, nor what the release before deletes beside this one. What went along with something else has it there.
"""

from alembic import op

revision = "0047"
down_revision = "0046"
branch_labels = None
depends_on = None

WHO = """nullif(concat_ws(' ', current_setting('app.actor', true),
                CASE WHEN current_setting('app.actor', true) LIKE 'api_key %'
                    THEN actor_name(gone.user_id, current_setting('app.actor')) END), '')"""


def _triggers(of_task: str = "", of_line: str = "", of_project: str = "") -> str:
    """Return the functions, as 0042 has them, with these values of the column `actor`."""
    column = ", actor" if of_task else ""
    return f"""
CREATE OR REPLACE FUNCTION trash_tasks() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('app.permanent', true) = 'on' THEN
        RETURN NULL;
    ELSIF NOT EXISTS (SELECT FROM gone WHERE parent_id IS NOT NULL) THEN
        INSERT INTO trash (user_id, kind, id, root_kind, root_id, version, title, trashed_at, content{column})
            SELECT gone.user_id, 'task', gone.id,
                CASE WHEN project.id IS NOT DISTINCT FROM gone.project_id THEN 'task' ELSE 'project' END,
                CASE WHEN project.id IS NOT DISTINCT FROM gone.project_id THEN gone.id ELSE gone.project_id END,
                users.seq, gone.title, clock_timestamp(), jsonb_strip_nulls(to_jsonb(gone)){of_task}
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
    INSERT INTO trash (user_id, kind, id, root_kind, root_id, version, title, trashed_at, content{column})
        SELECT gone.user_id, 'task', gone.id, line.root_kind, line.root_id, users.seq, gone.title, clock_timestamp(),
            jsonb_strip_nulls(to_jsonb(gone)){of_line}
        FROM gone JOIN users ON users.id = gone.user_id JOIN line ON line.user_id = gone.user_id AND line.id = gone.id;
    RETURN NULL;
END $$;
CREATE OR REPLACE FUNCTION trash_projects() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('app.permanent', true) = 'on' THEN
        RETURN NULL;
    END IF;
    INSERT INTO trash (user_id, kind, id, root_kind, root_id, version, title, trashed_at, content{column})
        SELECT gone.user_id, 'project', gone.id, 'project', gone.id, users.seq, gone.name, clock_timestamp(),
            jsonb_strip_nulls(to_jsonb(gone)){of_project}
        FROM gone JOIN users ON users.id = gone.user_id;
    RETURN NULL;
END $$;
"""  # noqa: S608  # of constants


def upgrade() -> None:
    op.execute("ALTER TABLE trash ADD COLUMN actor text")
    op.execute(
        "COMMENT ON COLUMN trash.actor IS"
        " 'of what was deleted by itself: kind, id and name of the credential; null: none, or not known'"
    )
    op.execute(
        _triggers(
            f", CASE WHEN project.id IS NOT DISTINCT FROM gone.project_id THEN {WHO} END",
            f", CASE WHEN line.root_id = gone.id AND line.root_kind = 'task' THEN {WHO} END",
            f", {WHO}",
        )
    )


def downgrade() -> None:
    op.execute(_triggers())
    op.execute("ALTER TABLE trash DROP COLUMN actor")
