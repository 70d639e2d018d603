"""Tasks have dates, and users the zone and the week in which they are meant.

Nothing is rewritten: columns without a default are null where a row is there, and domains get their rules after the columns (0009).
`dates` has the dates as they are shown: one text is read faster than six values.
`due_at` and `start_at` are instants that the service computes from the others, in the zone of the task or of the user.
"""

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

COLUMNS = """
CREATE DOMAIN time_zone AS text;
CREATE DOMAIN week_day AS text;
CREATE DOMAIN task_date AS date;
ALTER TABLE users
    ADD COLUMN time_zone time_zone,
    ADD COLUMN week_start week_day;
COMMENT ON COLUMN users.time_zone IS 'null: Etc/UTC';
COMMENT ON COLUMN users.week_start IS 'null: monday';
ALTER TABLE tasks
    ADD COLUMN dates text,
    ADD COLUMN due_date task_date,
    ADD COLUMN due_time time,
    ADD COLUMN due_zone time_zone,
    ADD COLUMN due_at timestamptz,
    ADD COLUMN start_date task_date,
    ADD COLUMN start_time time,
    ADD COLUMN start_zone time_zone,
    ADD COLUMN start_at timestamptz;
COMMENT ON COLUMN tasks.dates IS 'JSON: date, time and zone of the deadline and of the start; null without either';
COMMENT ON COLUMN tasks.due_at IS 'the deadline: computed from the date, the time and the zone, or that of the user';
COMMENT ON COLUMN tasks.start_at IS 'when it can be started: computed likewise';
ALTER DOMAIN time_zone ADD CONSTRAINT time_zone_check CHECK (VALUE ~ '^[A-Za-z0-9_+/-]{1,64}$') NOT VALID;
ALTER DOMAIN week_day ADD CONSTRAINT week_day_check CHECK (
    VALUE IN ('monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday', 'sunday')) NOT VALID;
ALTER DOMAIN task_date ADD CONSTRAINT task_date_check CHECK (VALUE BETWEEN '1900-01-01' AND '2199-12-31') NOT VALID;
"""


def upgrade() -> None:
    op.execute(COLUMNS)


def downgrade() -> None:
    columns = ("date", "time", "zone", "at")
    dropped = ", ".join(f"DROP COLUMN {name}_{part}" for name in ("due", "start") for part in columns)
    op.execute(
        f"ALTER TABLE tasks DROP COLUMN dates, {dropped}; ALTER TABLE users DROP COLUMN time_zone, DROP COLUMN week_start"
    )
    op.execute("DROP DOMAIN time_zone, week_day, task_date")
