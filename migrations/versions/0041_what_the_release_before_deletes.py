"""A task that the release before deletes takes along what is below it, and is counted off its parent, as with this one.

That release knows no subtasks: it deletes one row, which the foreign key of the rows below would refuse. What this release deletes,
all rows in one statement, leaves the triggers nothing to delete. A task without parent and children fires none, nor does an account
that is deleted with its tasks.
"""

from alembic import op

revision = "0041"
down_revision = "0040"
branch_labels = None
depends_on = None

# Triggers fire by their names, in bytes: this one before `RI_ConstraintTrigger`, which looks for rows below the deleted one.
BELOW = """
CREATE FUNCTION delete_below() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    WITH RECURSIVE below AS (
        SELECT id FROM tasks WHERE user_id = OLD.user_id AND parent_id = OLD.id
        UNION ALL SELECT child.id FROM tasks child JOIN below ON child.user_id = OLD.user_id AND child.parent_id = below.id),
    gone AS (DELETE FROM tasks USING below WHERE tasks.user_id = OLD.user_id AND tasks.id = below.id RETURNING tasks.status),
    lost AS (SELECT count(*) AS every, count(*) FILTER (WHERE status = 'pending') AS pending,
        count(*) FILTER (WHERE status = 'in_progress') AS in_progress, count(*) FILTER (WHERE status = 'completed') AS completed,
        count(*) FILTER (WHERE status = 'cancelled') AS cancelled FROM gone)
    UPDATE users SET pending = users.pending - lost.pending, in_progress = users.in_progress - lost.in_progress,
        completed = users.completed - lost.completed, cancelled = users.cancelled - lost.cancelled
    FROM lost WHERE users.id = OLD.user_id AND lost.every > 0;
    RETURN NULL;
END $$;
CREATE TRIGGER "Delete_below" AFTER DELETE ON tasks
    FOR EACH ROW WHEN (OLD.children > 0 AND pg_trigger_depth() = 0) EXECUTE FUNCTION delete_below();
"""

ABOVE = """
CREATE FUNCTION count_children() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE tasks SET children = (SELECT count(*) FROM tasks child WHERE child.user_id = OLD.user_id AND child.parent_id = OLD.parent_id)
    WHERE user_id = OLD.user_id AND id = OLD.parent_id;
    RETURN NULL;
END $$;
CREATE TRIGGER tasks_count_children AFTER DELETE ON tasks
    FOR EACH ROW WHEN (OLD.parent_id IS NOT NULL AND pg_trigger_depth() = 0) EXECUTE FUNCTION count_children();
"""


def upgrade() -> None:
    op.execute(BELOW)
    op.execute(ABOVE)


def downgrade() -> None:
    op.execute('DROP TRIGGER tasks_count_children ON tasks; DROP TRIGGER "Delete_below" ON tasks')
    op.execute("DROP FUNCTION count_children, delete_below")
