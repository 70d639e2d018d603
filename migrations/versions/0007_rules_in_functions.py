"""The rules of tasks and users stand in a function each, which a check constraint asks.

PostgreSQL reads the text of each check constraint anew in each statement that writes to the table; for the nine that there were, that
was a third of a write's instructions. A function is read once a session.

The rows that are there are gone through after that, under a lock that lets others read and write. Until then no revision is noted, so
whoever migrates meanwhile, or after a migration that was cut off, does the same once more.
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

FUNCTIONS = r"""
CREATE OR REPLACE FUNCTION is_valid_task(title text, description text, status text, completed_at timestamptz, version bigint)
RETURNS boolean LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    RETURN char_length(title) BETWEEN 1 AND 255
        AND title ~ '[^\x01-\x20\x7f-\xa0\u00ad\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff]'
        AND title !~ '[\x01-\x1f\x7f-\x9f]'
        AND (description IS NULL
            OR (char_length(description) <= 5000 AND description !~ '[\x01-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]'))
        AND status IN ('pending', 'in_progress', 'completed', 'cancelled')
        AND (status = 'completed') = (completed_at IS NOT NULL)
        AND version > 0;
END $$;

CREATE OR REPLACE FUNCTION is_valid_user(id text, name text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    RETURN char_length(id) BETWEEN 1 AND 255 AND (name IS NULL OR char_length(name) BETWEEN 1 AND 200);
END $$;

GRANT EXECUTE ON FUNCTION is_valid_task, is_valid_user TO task_api_user, task_api_login;
"""

ONE_EACH = """
ALTER TABLE tasks
    DROP CONSTRAINT IF EXISTS tasks_valid_check,
    ADD CONSTRAINT tasks_valid_check CHECK (is_valid_task(title, description, status, completed_at, version)) NOT VALID,
    DROP CONSTRAINT IF EXISTS tasks_title_length_check,
    DROP CONSTRAINT IF EXISTS tasks_title_characters_check,
    DROP CONSTRAINT IF EXISTS tasks_description_length_check,
    DROP CONSTRAINT IF EXISTS tasks_description_characters_check,
    DROP CONSTRAINT IF EXISTS tasks_status_known_check,
    DROP CONSTRAINT IF EXISTS tasks_completion_time_check,
    DROP CONSTRAINT IF EXISTS tasks_version_positive_check;
ALTER TABLE users
    DROP CONSTRAINT IF EXISTS users_valid_check,
    ADD CONSTRAINT users_valid_check CHECK (is_valid_user(id, name)) NOT VALID,
    DROP CONSTRAINT IF EXISTS users_id_length_check,
    DROP CONSTRAINT IF EXISTS users_name_length_check;
"""

MANY = r"""
ALTER TABLE tasks
    ADD CONSTRAINT tasks_title_length_check CHECK (char_length(title) BETWEEN 1 AND 255),
    ADD CONSTRAINT tasks_title_characters_check CHECK (
        title ~ '[^\x01-\x20\x7f-\xa0\u00ad\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff]'
        AND title !~ '[\x01-\x1f\x7f-\x9f]'),
    ADD CONSTRAINT tasks_description_length_check CHECK (char_length(description) <= 5000),
    ADD CONSTRAINT tasks_description_characters_check CHECK (description !~ '[\x01-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]'),
    ADD CONSTRAINT tasks_status_known_check CHECK (status IN ('pending', 'in_progress', 'completed', 'cancelled')),
    ADD CONSTRAINT tasks_completion_time_check CHECK ((status = 'completed') = (completed_at IS NOT NULL)),
    ADD CONSTRAINT tasks_version_positive_check CHECK (version > 0),
    DROP CONSTRAINT tasks_valid_check;
ALTER TABLE users
    ADD CONSTRAINT users_id_length_check CHECK (char_length(id) BETWEEN 1 AND 255),
    ADD CONSTRAINT users_name_length_check CHECK (char_length(name) BETWEEN 1 AND 200),
    DROP CONSTRAINT users_valid_check;
DROP FUNCTION is_valid_task, is_valid_user;
"""


def upgrade() -> None:
    op.execute(FUNCTIONS)
    op.execute(ONE_EACH)
    with op.get_context().autocommit_block():
        op.execute("ALTER TABLE tasks VALIDATE CONSTRAINT tasks_valid_check")
        op.execute("ALTER TABLE users VALIDATE CONSTRAINT users_valid_check")


def downgrade() -> None:
    op.execute(MANY)
