"""Every text that is not ASCII alone has its folded text: those follow that somebody else had locked while 0014 folded the others.

So a search looks no more whether a text is ASCII, which took half of its time. What is written is folded by the trigger of 0013.
"""

from alembic import op
from sqlalchemy import text

from todo_api.provisioning.online import limit

revision = "0046"
down_revision = "0045"
branch_labels = None
depends_on = None

SEE_NO_MORE = "DROP POLICY IF EXISTS tasks_to_fold ON tasks"
SEE = f"{SEE_NO_MORE}; CREATE POLICY tasks_to_fold ON tasks TO CURRENT_USER USING (true)"

# Nobody waits for this: it locks nothing, and each task is a transaction of its own.
LEFT = """
SET LOCAL statement_timeout = '2h';
SELECT user_id, CAST(id AS text) AS id FROM tasks
WHERE title_folded IS NULL AND octet_length(title) <> char_length(title)
    OR description_folded IS NULL AND octet_length(description) <> char_length(description)
"""
FOLD = """
UPDATE tasks SET
    title_folded = CASE WHEN octet_length(title) <> char_length(title) THEN fold_case(title) END,
    description_folded = CASE WHEN octet_length(description) <> char_length(description) THEN fold_case(description) END
WHERE user_id = :user_id AND id = CAST(:id AS uuid)
"""

COMMENTS = """
COMMENT ON COLUMN tasks.title_folded IS 'the title without case; null: it is ASCII';
COMMENT ON COLUMN tasks.description_folded IS 'the description without case; null: it is ASCII, or there is none';
"""
OLD_COMMENTS = """
COMMENT ON COLUMN tasks.title_folded IS 'the title without case, where it is not ASCII';
COMMENT ON COLUMN tasks.description_folded IS 'the description without case, where it is not ASCII';
"""


def upgrade() -> None:
    connection = op.get_bind()
    op.execute(SEE)
    if connection.scalar(text("SELECT EXISTS (SELECT FROM tasks)")):
        with op.get_context().autocommit_block():
            for task in connection.execute(text(LEFT)).mappings().all():
                connection.execute(text(FOLD), dict(task))
        limit(connection)
    op.execute(SEE_NO_MORE)
    op.execute(COMMENTS)


def downgrade() -> None:
    op.execute(OLD_COMMENTS)
