"""Tasks have a priority and links.

Neither rewrites the table: a constant default stands in the catalogue, and a domain gets its rule after its column, `NOT VALID`, which
here means no more than that no row is looked at (0009). The rows that are there have the default, and null.
"""

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

COLUMNS = """
CREATE DOMAIN task_priority AS smallint;
CREATE DOMAIN task_links AS text;
ALTER TABLE tasks
    ADD COLUMN priority task_priority NOT NULL DEFAULT 0,
    ADD COLUMN links task_links;
COMMENT ON COLUMN tasks.priority IS 'from 0, none, to 4, urgent';
COMMENT ON COLUMN tasks.links IS 'JSON; null without links';
ALTER DOMAIN task_priority ADD CONSTRAINT task_priority_check CHECK (VALUE BETWEEN 0 AND 4) NOT VALID;
ALTER DOMAIN task_links ADD CONSTRAINT task_links_check CHECK (
    octet_length(VALUE) <= 65536 AND jsonb_array_length(VALUE::jsonb) BETWEEN 1 AND 20) NOT VALID;
"""


def upgrade() -> None:
    op.execute(COLUMNS)


def downgrade() -> None:
    op.execute("ALTER TABLE tasks DROP COLUMN priority, DROP COLUMN links; DROP DOMAIN task_priority, task_links")
