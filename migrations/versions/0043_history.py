"""Every change of a task or project leaves a row of history: what changed, when, by which write, and who did it.

Triggers write them, so that no statement can leave one out, nor the release before, which writes beside this one. A row is of one
object and one number: what a batch changes twice is told once. A creation has none. What is written without a new version or time,
such as instants and counts of children, is no change of the object.

Who did it is the setting `app.actor` of the transaction: the kind and the id of the credential. The name of an API key is the one that
it has at the time.
"""

from alembic import op

revision = "0043"
down_revision = "0042"
branch_labels = None
depends_on = None

TABLE = """
CREATE TABLE history (
    user_id text NOT NULL,
    seq bigint NOT NULL,
    kind text NOT NULL,
    id uuid NOT NULL,
    version_before bigint NOT NULL,
    action text NOT NULL,
    at timestamptz NOT NULL,
    actor text,
    actor_name text,
    changes jsonb NOT NULL,
    cut boolean NOT NULL DEFAULT false,
    day date NOT NULL DEFAULT CURRENT_DATE,
    CONSTRAINT history_pkey PRIMARY KEY (user_id, seq, kind, id),
    CONSTRAINT history_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);
COMMENT ON COLUMN history.seq IS 'the user''s seq at the change';
COMMENT ON COLUMN history.actor IS 'kind and id of the credential; null: none, or not known';
COMMENT ON COLUMN history.version_before IS 'the version that the object had before';
COMMENT ON COLUMN history.changes IS 'by member: its values before and after';
COMMENT ON COLUMN history.day IS 'by which it is purged: an index of times would be taken for that of a user''s';
COMMENT ON COLUMN history.cut IS 'whether a value of changes is not whole';
CREATE INDEX history_by_object ON history (user_id, id, seq);
CREATE INDEX history_by_time ON history (user_id, at, seq, kind, id);
CREATE INDEX history_by_day ON history (day);
"""

WALLS = """
GRANT SELECT, INSERT, UPDATE ON history TO task_api_user;
GRANT SELECT, DELETE ON history TO task_api_login;
ALTER TABLE history ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY history_of_user ON history TO task_api_user
    USING (user_id = current_setting('app.user_id', true)) WITH CHECK (user_id = current_setting('app.user_id', true));
"""

# The purge sees and deletes what is older than so many days, and nothing else, whatever its statement asks for.
PURGE = """
CREATE POLICY history_seen_by_purge ON history FOR SELECT TO task_api_login
    USING (day < CURRENT_DATE - nullif(current_setting('app.history_days', true), '')::integer);
CREATE POLICY history_of_purge ON history FOR DELETE TO task_api_login
    USING (day < CURRENT_DATE - nullif(current_setting('app.history_days', true), '')::integer);
"""

VALUES = """
CREATE FUNCTION action_of(changes jsonb) RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN CASE
        WHEN current_setting('app.action', true) <> '' THEN current_setting('app.action', true)
        WHEN changes #>> '{status,1}' = 'completed' THEN 'completed'
        WHEN changes #>> '{status,0}' = 'completed' THEN 'reopened'
        WHEN changes <> '{}' AND changes - '{project_id,parent_id,position}'::text[] = '{}' THEN 'moved'
        ELSE 'updated' END;
END $$;
CREATE FUNCTION actor_name(of_user text, actor text) RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT name FROM api_keys WHERE user_id = of_user AND id = split_part(actor, ' ', 2)::uuid);
END $$;
CREATE FUNCTION moment_of(day date, at time, zone text) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    RETURN CASE WHEN day IS NOT NULL THEN jsonb_build_object('date', day, 'time', left(at::text, 5), 'time_zone', zone) END;
END $$;
CREATE FUNCTION time_of(moment timestamptz) RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN to_char(moment AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"');
END $$;
CREATE FUNCTION list_of(stored text) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    RETURN CASE WHEN stored IS NULL THEN '[]' WHEN octet_length(stored) > 8192 THEN jsonb_path_query_array(stored::jsonb, '$[0 to 1]')
        ELSE stored::jsonb END;
END $$;
-- What one write changed twice: as it was before the first change, and as it is after the last.
CREATE FUNCTION merged(first jsonb, last jsonb) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    RETURN (SELECT coalesce(jsonb_object_agg(member, jsonb_build_array(was, becomes)) FILTER (WHERE was <> becomes), '{}')
        FROM (SELECT member, coalesce(first #> ARRAY[member, '0'], last #> ARRAY[member, '0']) AS was,
            coalesce(last #> ARRAY[member, '1'], first #> ARRAY[member, '1']) AS becomes
            FROM jsonb_object_keys(first || last) AS member) AS both_of);
END $$;
"""


def _differ(columns: str) -> str:
    """Returns the condition that columns differ. A comparison of two records costs less to prepare than one of each column."""
    old, new = (", ".join(f"{row}.{column}" for column in columns.split()) for row in ("OLD", "NEW"))
    return f"record_image_ne(ROW({old}), ROW({new}))"


def _compare(members: dict[str, tuple[str, str]]) -> str:
    """Returns statements that add to `what` the members that differ: by member the columns compared, and its value of `{row}`."""
    return "".join(
        f"""
        IF {_differ(columns)} THEN
            what := what || jsonb_build_object('{member}', jsonb_build_array({value.format(row="OLD")}, {value.format(row="NEW")}));
        END IF;"""
        for member, (columns, value) in members.items()
    )


def _note(kind: str, first: str, members: dict[str, tuple[str, str]], cut: str, between: str = "") -> str:
    """Returns the function that notes a change of a row, and its trigger.

    `first` is the member that changes most often, before what is compared `between`. What has the number already was changed or
    created by the same write.
    """
    columns = " ".join(columns for columns, _ in members.values())
    return f"""
CREATE FUNCTION note_{kind}() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    what jsonb := '{{}}';
    done text := 'updated';
    is_cut boolean := false;
BEGIN
    IF NEW.{first} <> OLD.{first} THEN
        what := jsonb_build_object('{first}', jsonb_build_array(OLD.{first}, NEW.{first}));
    END IF;{between}
    IF {_differ(columns)} THEN{_compare(members)}
        done := action_of(what);
        is_cut := {cut};
    END IF;
    IF NEW.version = OLD.version THEN
        UPDATE history SET action = CASE action WHEN 'restored' THEN action ELSE action_of(merged(changes, what)) END, at = NEW.updated_at,
            changes = merged(changes, what), cut = cut OR is_cut
        WHERE user_id = NEW.user_id AND seq = NEW.version AND kind = '{kind}' AND id = NEW.id;
    ELSE
        INSERT INTO history (user_id, seq, kind, id, version_before, action, at, actor, actor_name, changes, cut) VALUES (
            NEW.user_id, NEW.version, '{kind}', NEW.id, OLD.version, {DONE.format("done")}, NEW.updated_at,
            {WHO.format("NEW")}, what, is_cut);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER {kind}s_note AFTER UPDATE ON {kind}s FOR EACH ROW
    WHEN (OLD.version <> NEW.version OR OLD.updated_at <> NEW.updated_at) EXECUTE FUNCTION note_{kind}();
"""  # noqa: S608  # of constants


DONE = "coalesce(nullif(current_setting('app.action', true), ''), {})"
GONE = "CASE WHEN current_setting('app.permanent', true) = 'on' THEN 'deleted' ELSE 'trashed' END"
WHO = """nullif(current_setting('app.actor', true), ''),
            CASE WHEN current_setting('app.actor', true) LIKE 'api_key %' THEN actor_name({}.user_id, current_setting('app.actor')) END"""
TASK = {
    "description": (
        "description",
        "CASE WHEN octet_length({row}.description) > 8192 THEN left({row}.description, 2048) ELSE {row}.description END",
    ),
    "priority": ("priority", "(ARRAY['none', 'low', 'medium', 'high', 'urgent'])[{row}.priority + 1]"),
    "labels": ("labels", "list_of({row}.labels)"),
    "links": ("links", "list_of({row}.links)"),
    "due": ("due_date due_time due_zone", "moment_of({row}.due_date, {row}.due_time, {row}.due_zone)"),
    "start": ("start_date start_time start_zone", "moment_of({row}.start_date, {row}.start_time, {row}.start_zone)"),
    "project_id": ("project_id", "{row}.project_id"),
    "parent_id": ("parent_id", "{row}.parent_id"),
    "position": ("position", "{row}.position"),
}
STATUS = {
    "status": ("status", "{row}.status"),
    "completed_at": ("completed_at", "time_of({row}.completed_at)"),
}
STATUS_CHANGE = f"""
    IF {_differ("status completed_at")} THEN{_compare(STATUS)}
        done := CASE WHEN OLD.status = NEW.status THEN done WHEN NEW.status = 'completed' THEN 'completed'
            WHEN OLD.status = 'completed' THEN 'reopened' ELSE done END;
    END IF;"""
TASK_CUT = """
            (what ? 'description' AND greatest(octet_length(OLD.description), octet_length(NEW.description)) > 8192)
            OR (what ? 'links' AND greatest(octet_length(OLD.links), octet_length(NEW.links)) > 8192)"""
PROJECT = {
    "description": ("description", "{row}.description"),
    "color": ("color", "{row}.color"),
    "position": ("position", "{row}.position"),
}

# What comes back from the trash is older than its last write.
ENDS = f"""
CREATE FUNCTION note_end() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO history (user_id, seq, kind, id, version_before, action, at, actor, actor_name, changes)
        SELECT gone.user_id, users.seq, TG_ARGV[0], gone.id, gone.version, {DONE.format(GONE)}, clock_timestamp(),
            {WHO.format("gone")}, '{{}}'
        FROM gone JOIN users ON users.id = gone.user_id
        ON CONFLICT (user_id, seq, kind, id) DO UPDATE SET action = excluded.action, at = excluded.at;
    RETURN NULL;
END $$;
CREATE FUNCTION note_return() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO history (user_id, seq, kind, id, version_before, action, at, actor, actor_name, changes) VALUES (
        NEW.user_id, NEW.version, TG_ARGV[0], NEW.id, NEW.version - 1, {DONE.format("'restored'")}, NEW.updated_at,
        {WHO.format("NEW")}, '{{}}')
        ON CONFLICT (user_id, seq, kind, id) DO UPDATE SET action = excluded.action, at = excluded.at;
    RETURN NULL;
END $$;
"""  # noqa: S608  # of constants
EDGES = """
CREATE TRIGGER {kind}s_note_end AFTER DELETE ON {kind}s
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION note_end('{kind}');
CREATE TRIGGER {kind}s_note_return AFTER INSERT ON {kind}s FOR EACH ROW
    WHEN (NEW.created_at <> NEW.updated_at) EXECUTE FUNCTION note_return('{kind}');
"""


def upgrade() -> None:
    op.execute(TABLE)
    op.execute(WALLS)
    op.execute(PURGE)
    op.execute(VALUES)
    op.execute(_note("task", "title", TASK, TASK_CUT, STATUS_CHANGE))
    op.execute(_note("project", "name", PROJECT, "false"))
    op.execute(ENDS)
    for kind in ("task", "project"):
        op.execute(EDGES.format(kind=kind))


def downgrade() -> None:
    for kind in ("task", "project"):
        op.execute(
            f"DROP TRIGGER {kind}s_note ON {kind}s; DROP TRIGGER {kind}s_note_end ON {kind}s;"
            f" DROP TRIGGER {kind}s_note_return ON {kind}s; DROP FUNCTION note_{kind}"
        )
    op.execute("DROP FUNCTION note_end, note_return, merged, list_of, time_of, moment_of, actor_name, action_of")
    op.execute("DROP TABLE history")
