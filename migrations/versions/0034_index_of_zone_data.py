"""Users whose instants were computed with older time zone data are found by an index of the users who have any."""

from alembic import op

from todo_api.provisioning.online import build_indexes

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None

INDEX = {"users_by_zone_data": "(zone_data) WHERE zone_data IS NOT NULL"}


def upgrade() -> None:
    build_indexes(op.get_context(), "users", INDEX)


def downgrade() -> None:
    op.execute("DROP INDEX users_by_zone_data")
