"""The tasks that are there are held to the rule of their state, under a lock that lets others read and write.

In a transaction of its own, since the one that adds a constraint keeps others out to its end.
"""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE tasks VALIDATE CONSTRAINT tasks_state_check")


def downgrade() -> None:
    op.execute(
        "ALTER TABLE tasks DROP CONSTRAINT tasks_state_check, ADD CONSTRAINT tasks_state_check"
        " CHECK (is_valid_state(status, completed_at, version)) NOT VALID"
    )
