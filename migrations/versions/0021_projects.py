"""Users have projects. How many stands in the user's row, as for API keys, so that the limit holds without a count."""

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

LINE = r"\x01-\x1f\x7f-\x9f\u2028-\u2029"
BLANK = (
    r"\x01-\x20\x7f-\xa0\xad\u034f\u061c\u115f-\u1160\u1680\u17b4-\u17b5\u180b-\u180f\u2000-\u200f"
    r"\u2028-\u202f\u205f-\u206f\u3000\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)

TABLE = rf"""
CREATE DOMAIN project_name AS text;
ALTER DOMAIN project_name ADD CONSTRAINT project_name_check CHECK (
    char_length(VALUE) <= 120 AND VALUE ~ '[^{BLANK}]' AND VALUE !~ '[{LINE}]') NOT VALID;
CREATE DOMAIN project_description AS text;
ALTER DOMAIN project_description ADD CONSTRAINT project_description_check CHECK (
    char_length(VALUE) <= 500 AND VALUE !~ '[\x01-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]') NOT VALID;
CREATE TABLE projects (
    user_id text NOT NULL,
    id uuid NOT NULL,
    name project_name NOT NULL,
    description project_description,
    color text,
    position text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    version bigint NOT NULL,
    CONSTRAINT projects_pkey PRIMARY KEY (user_id, id),
    CONSTRAINT projects_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,
    CONSTRAINT projects_color_form_check CHECK (color ~ '^#[0-9A-Fa-f]{{6}}$'),
    CONSTRAINT projects_position_form_check CHECK (position ~ '^[0-9A-Za-z]{{1,250}}$'),
    CONSTRAINT projects_version_positive_check CHECK (version > 0)
);
COMMENT ON COLUMN projects.version IS 'the user''s seq at the last write';
ALTER TABLE users ADD COLUMN projects smallint NOT NULL DEFAULT 0;
COMMENT ON COLUMN users.projects IS 'how many there are';
"""

WALLS = """
GRANT SELECT, INSERT, UPDATE, DELETE ON projects TO task_api_user;
ALTER TABLE projects ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY projects_of_user ON projects TO task_api_user
    USING (user_id = current_setting('app.user_id', true)) WITH CHECK (user_id = current_setting('app.user_id', true));
"""


def upgrade() -> None:
    op.execute(TABLE)
    op.execute(WALLS)


def downgrade() -> None:
    op.execute(
        "DROP TABLE projects; DROP DOMAIN project_name, project_description; ALTER TABLE users DROP COLUMN projects"
    )
