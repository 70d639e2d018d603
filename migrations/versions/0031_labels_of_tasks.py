"""A task can have labels. They stand on its row, to be read, and in a table of their own, to be filtered by and renamed.

The column is new, so its domain gets its rule after it, `NOT VALID`, which here means no more than that no row is looked at (0009).
A task without labels has null, and no row in the table.
"""

from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

LINE = r"\x01-\x1f\x7f-\x9f\u2028-\u2029"
BLANK = (
    r"\x01-\x20\x7f-\xa0\xad\u034f\u061c\u115f-\u1160\u1680\u17b4-\u17b5\u180b-\u180f\u2000-\u200f"
    r"\u2028-\u202f\u205f-\u206f\u3000\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)

COLUMN = """
CREATE DOMAIN label_list AS text;
ALTER TABLE tasks ADD COLUMN labels label_list;
COMMENT ON COLUMN tasks.labels IS 'JSON, by their keys; null without labels';
ALTER DOMAIN label_list ADD CONSTRAINT label_list_check CHECK (
    octet_length(VALUE) <= 8192 AND jsonb_array_length(VALUE::jsonb) >= 1 AND jsonb_array_length(VALUE::jsonb) <= 20) NOT VALID;
"""

TABLE = f"""
CREATE DOMAIN label_name AS text CONSTRAINT label_name_check CHECK (
    char_length(VALUE) <= 60 AND VALUE ~ '[^{BLANK}]' AND VALUE !~ '[{LINE}]' AND VALUE !~ ',');
CREATE DOMAIN label_key AS text COLLATE "C" CONSTRAINT label_key_check CHECK (
    octet_length(VALUE) >= 1 AND octet_length(VALUE) <= 1024);
CREATE TABLE task_labels (
    user_id text NOT NULL,
    task_id uuid NOT NULL,
    label_key label_key NOT NULL,
    name label_name NOT NULL,
    version bigint NOT NULL,
    CONSTRAINT task_labels_pkey PRIMARY KEY (user_id, task_id, label_key),
    CONSTRAINT task_labels_user_id_task_id_fkey FOREIGN KEY (user_id, task_id) REFERENCES tasks (user_id, id) ON DELETE CASCADE
);
CREATE INDEX task_labels_by_key ON task_labels (user_id, label_key, version, task_id);
COMMENT ON COLUMN task_labels.label_key IS 'the name without case';
COMMENT ON COLUMN task_labels.version IS 'the user''s seq when the task got it in this spelling';
"""

WALLS = """
GRANT SELECT, INSERT, UPDATE, DELETE ON task_labels TO task_api_user;
ALTER TABLE task_labels ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY task_labels_of_user ON task_labels TO task_api_user
    USING (user_id = current_setting('app.user_id', true)) WITH CHECK (user_id = current_setting('app.user_id', true));
"""


def upgrade() -> None:
    op.execute(COLUMN)
    op.execute(TABLE)
    op.execute(WALLS)


def downgrade() -> None:
    op.execute(
        "DROP TABLE task_labels; ALTER TABLE tasks DROP COLUMN labels; DROP DOMAIN label_key, label_name, label_list"
    )
