"""The rules of tasks and users stand in a function each, which a check constraint asks.

PostgreSQL reads the text of each check constraint anew in each statement that writes to the table; for the nine that there were, that
was a third of a write's instructions. A function is read once a session.

The rows that are there are gone through by the next revision.
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

FUNCTIONS = r"""
CREATE FUNCTION is_valid_task(title text, description text, status text, completed_at timestamptz, version bigint)
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

CREATE FUNCTION is_valid_user(id text, name text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    RETURN char_length(id) BETWEEN 1 AND 255 AND (name IS NULL OR char_length(name) BETWEEN 1 AND 200);
END $$;

GRANT EXECUTE ON FUNCTION is_valid_task, is_valid_user TO task_api_user, task_api_login;
"""

ONE_EACH = """
ALTER TABLE tasks
    ADD CONSTRAINT tasks_valid_check CHECK (is_valid_task(title, description, status, completed_at, version)) NOT VALID,
    DROP CONSTRAINT tasks_title_length_check,
    DROP CONSTRAINT tasks_title_characters_check,
    DROP CONSTRAINT tasks_description_length_check,
    DROP CONSTRAINT tasks_description_characters_check,
    DROP CONSTRAINT tasks_status_known_check,
    DROP CONSTRAINT tasks_completion_time_check,
    DROP CONSTRAINT tasks_version_positive_check;
ALTER TABLE users
    ADD CONSTRAINT users_valid_check CHECK (is_valid_user(id, name)) NOT VALID,
    DROP CONSTRAINT users_id_length_check,
    DROP CONSTRAINT users_name_length_check;
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


def downgrade() -> None:
    op.execute(MANY)
