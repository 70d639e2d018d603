"""The rows that are there are held to the rules of their functions, under a lock that lets others read and write.

They have met the same rules before. In a transaction of its own, since the one that adds a constraint keeps others out to its end.
"""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE tasks VALIDATE CONSTRAINT tasks_valid_check")
    op.execute("ALTER TABLE users VALIDATE CONSTRAINT users_valid_check")


def downgrade() -> None:
    op.execute(
        "ALTER TABLE tasks DROP CONSTRAINT tasks_valid_check, ADD CONSTRAINT tasks_valid_check"
        " CHECK (is_valid_task(title, description, status, completed_at, version)) NOT VALID"
    )
    op.execute(
        "ALTER TABLE users DROP CONSTRAINT users_valid_check, ADD CONSTRAINT users_valid_check"
        " CHECK (is_valid_user(id, name)) NOT VALID"
    )
