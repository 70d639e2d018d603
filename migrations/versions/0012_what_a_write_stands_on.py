"""A write locks the API key or the session that it stands on, and a key may have the scope to write the account.

PostgreSQL asks of whoever locks a row for the right to update a column of it. The user's role gets that right and, by a
policy that lets no updated row pass, still updates nothing.
"""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

SCOPES = """
ALTER TABLE api_keys DROP CONSTRAINT api_keys_scopes_known_check;
ALTER TABLE api_keys ADD CONSTRAINT api_keys_scopes_known_check CHECK (
    cardinality(scopes) > 0 AND scopes <@ ARRAY[{}]);
"""

LOCKS = """
GRANT UPDATE (last_used_at) ON api_keys TO task_api_user;
GRANT UPDATE (refreshed_at) ON sessions TO task_api_user;

CREATE POLICY api_keys_locked_alone ON api_keys AS RESTRICTIVE FOR UPDATE TO task_api_user USING (true) WITH CHECK (false);
CREATE POLICY sessions_locked_alone ON sessions AS RESTRICTIVE FOR UPDATE TO task_api_user USING (true) WITH CHECK (false);
"""

NO_LOCKS = """
DROP POLICY sessions_locked_alone ON sessions;
DROP POLICY api_keys_locked_alone ON api_keys;
REVOKE UPDATE (refreshed_at) ON sessions FROM task_api_user;
REVOKE UPDATE (last_used_at) ON api_keys FROM task_api_user;
"""

NO_NEW_SCOPE = """
ALTER TABLE api_keys NO FORCE ROW LEVEL SECURITY;
ALTER TABLE users NO FORCE ROW LEVEL SECURITY;
WITH ended AS (DELETE FROM api_keys WHERE scopes <@ ARRAY['account:write'] RETURNING user_id),
     numbers AS (SELECT user_id, count(*) AS ended FROM ended GROUP BY user_id)
UPDATE users SET api_keys = api_keys - numbers.ended FROM numbers WHERE id = numbers.user_id;
UPDATE api_keys SET scopes = array_remove(scopes, 'account:write') WHERE 'account:write' = ANY (scopes);
ALTER TABLE users FORCE ROW LEVEL SECURITY;
ALTER TABLE api_keys FORCE ROW LEVEL SECURITY;
"""


def upgrade() -> None:
    op.execute(SCOPES.format("'tasks:read', 'tasks:write', 'account', 'account:write'"))
    op.execute(LOCKS)


def downgrade() -> None:
    op.execute(NO_LOCKS)
    op.execute(NO_NEW_SCOPE)
    op.execute(SCOPES.format("'tasks:read', 'tasks:write', 'account'"))
