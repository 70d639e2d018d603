"""The history compares with less work: it notes the same.

PostgreSQL reads the condition of a trigger anew with each statement, and looks each column of a record up, so both cost more than
what they spare. Whoever changes a task or project sets its version; the text of the dates differs if one of their columns does.
"""

from alembic import op
from sqlalchemy import text

revision = "0048"
down_revision = "0047"
branch_labels = None
depends_on = None

CONDITION = "WHEN (OLD.version <> NEW.version OR OLD.updated_at <> NEW.updated_at)"
TRIGGER = "CREATE OR REPLACE TRIGGER {kind}s_note AFTER UPDATE{of} ON {kind}s FOR EACH ROW {condition} EXECUTE FUNCTION note_{kind}()"

SEVERAL = (
    "description, {0}.priority, {0}.labels, {0}.links, {0}.due_date, {0}.due_time, {0}.due_zone, {0}.start_date, {0}.start_time,"
    " {0}.start_zone, {0}.project_id, {0}.parent_id, {0}.position"
)
SOURCE = "SELECT pg_get_functiondef(CAST('note_task' AS regproc))"
TIME = """to_char({}.completed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""


def _differ(columns: str) -> str:
    """Return the condition that columns differ, as 0043 has it."""
    old, new = (f"ROW({row}.{columns.format(row)})" for row in ("OLD", "NEW"))
    return f"record_image_ne({old}, {new})"


COMPARISONS = (
    (
        _differ("status, {0}.completed_at"),
        "OLD.status <> NEW.status OR OLD.completed_at IS DISTINCT FROM NEW.completed_at",
    ),
    (_differ("status"), "OLD.status <> NEW.status"),
    (_differ("completed_at"), "OLD.completed_at IS DISTINCT FROM NEW.completed_at"),
    ("time_of(OLD.completed_at), time_of(NEW.completed_at)", f"{TIME.format('OLD')}, {TIME.format('NEW')}"),
    (
        _differ(SEVERAL),
        "OLD.description IS DISTINCT FROM NEW.description OR OLD.priority <> NEW.priority"
        " OR OLD.labels IS DISTINCT FROM NEW.labels OR OLD.links IS DISTINCT FROM NEW.links OR OLD.dates IS DISTINCT FROM NEW.dates"
        " OR OLD.project_id IS DISTINCT FROM NEW.project_id OR OLD.parent_id IS DISTINCT FROM NEW.parent_id"
        " OR OLD.position <> NEW.position",
    ),
)
"""What is compared in `note_task`, before and after."""


def upgrade() -> None:
    for kind in ("task", "project"):
        op.execute(TRIGGER.format(kind=kind, of=" OF version", condition=""))
    _replace(COMPARISONS)


def downgrade() -> None:
    for kind in ("task", "project"):
        op.execute(TRIGGER.format(kind=kind, of="", condition=CONDITION))
    _replace([(after, before) for before, after in COMPARISONS])


def _replace(changes: "list[tuple[str, str]] | tuple[tuple[str, str], ...]") -> None:
    """Replace texts of the function, each once. Raise ValueError if one is not there."""
    source = op.get_bind().scalar(text(SOURCE))
    for before, after in changes:
        start, found, end = source.partition(before)
        if not found:
            raise ValueError(f"note_task lacks {before}")
        source = start + after + end
    op.execute(source)
