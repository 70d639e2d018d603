"""A process that has requests waiting for changes sees the numbers of their users, and of nobody else."""

from alembic import op

revision = "0040"
down_revision = "0039"
branch_labels = None
depends_on = None

WALLS = """
GRANT SELECT (seq) ON users TO task_api_login;
CREATE POLICY users_waited_for ON users FOR SELECT TO task_api_login
    USING (id = ANY (string_to_array(current_setting('app.waiting', true), chr(31))));
"""


def upgrade() -> None:
    op.execute(WALLS)


def downgrade() -> None:
    op.execute("DROP POLICY users_waited_for ON users; REVOKE SELECT (seq) ON users FROM task_api_login")
