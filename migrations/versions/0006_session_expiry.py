"""The purge finds sessions that have expired by an index, and may look for some of them at a time.

The index is built under a lock that lets readers go on, and the policy made under one that lets nobody, for a moment at the end. Sessions
are few beside tasks. The previous release's purge, which asks for none in particular, deletes what it did.
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

SEEN = """
CREATE POLICY sessions_seen_by_purge ON sessions FOR SELECT TO task_api_login
    USING (current_setting('app.purge', true) = 'expired' AND expires_at < now())
"""


def upgrade() -> None:
    op.execute("CREATE INDEX sessions_by_expires_at ON sessions (expires_at)")
    op.execute(SEEN)


def downgrade() -> None:
    op.execute("DROP POLICY sessions_seen_by_purge ON sessions")
    op.execute("DROP INDEX sessions_by_expires_at")
