"""The service's roles may execute the functions of the history, also where `PUBLIC` may not.

A database whose functions are withheld from `PUBLIC` (`ALTER DEFAULT PRIVILEGES ... REVOKE EXECUTE ON FUNCTIONS`) refused every change.
"""

from alembic import op

revision = "0049"
down_revision = "0048"
branch_labels = None
depends_on = None

FUNCTIONS = "action_of, actor_name, list_of, merged, moment_of, time_of"


def upgrade() -> None:
    op.execute(f"GRANT EXECUTE ON FUNCTION {FUNCTIONS} TO task_api_user, task_api_login")


def downgrade() -> None:
    op.execute(f"REVOKE EXECUTE ON FUNCTION {FUNCTIONS} FROM task_api_user, task_api_login")
