"""What a user's id and name, a title and a description may be stands in a domain each.

PostgreSQL asks a domain where a value is given to the column, and a constraint of the table in each statement that writes to a row:
also in those that only count a user's tasks, or complete one. What is left for a constraint is what several columns say together.

No row is looked at, which would keep writers waiting: all there are have met the same rules, as constraints of the tables (0008). So
the domains' constraints are `NOT VALID`, which means no more than that. Nothing is rewritten: each domain gets its rule after its column.
"""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

# PostgreSQL changes no column's type under a policy that names it.
POLICY = """
CREATE POLICY users_of_user ON users TO task_api_user
    USING (id = current_setting('app.user_id', true)) WITH CHECK (id = current_setting('app.user_id', true));
"""

DOMAINS = r"""
CREATE DOMAIN user_id AS text;
CREATE DOMAIN user_name AS text;
CREATE DOMAIN task_title AS text COLLATE "C";
CREATE DOMAIN task_description AS text;

CREATE FUNCTION is_valid_state(status text, completed_at timestamptz, version bigint)
RETURNS boolean LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    RETURN (status = 'completed' AND completed_at IS NOT NULL
            OR status IN ('pending', 'in_progress', 'cancelled') AND completed_at IS NULL)
        AND version > 0;
END $$;
GRANT EXECUTE ON FUNCTION is_valid_state TO task_api_user, task_api_login;

ALTER TABLE tasks
    DROP CONSTRAINT tasks_valid_check,
    ALTER title TYPE task_title,
    ALTER description TYPE task_description,
    ADD CONSTRAINT tasks_state_check CHECK (is_valid_state(status, completed_at, version)) NOT VALID;
DROP POLICY users_of_user ON users;
ALTER TABLE users
    DROP CONSTRAINT users_valid_check,
    ALTER id TYPE user_id,
    ALTER name TYPE user_name;
DROP FUNCTION is_valid_task, is_valid_user;

ALTER DOMAIN user_id ADD CONSTRAINT user_id_check CHECK (char_length(VALUE) BETWEEN 1 AND 255) NOT VALID;
ALTER DOMAIN user_name ADD CONSTRAINT user_name_check CHECK (char_length(VALUE) BETWEEN 1 AND 200) NOT VALID;
ALTER DOMAIN task_title ADD CONSTRAINT task_title_check CHECK (
    char_length(VALUE) <= 255
    AND VALUE ~ '[^\x01-\x20\x7f-\xa0\u00ad\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff]'
    AND VALUE !~ '[\x01-\x1f\x7f-\x9f]') NOT VALID;
ALTER DOMAIN task_description ADD CONSTRAINT task_description_check CHECK (
    char_length(VALUE) <= 5000 AND VALUE !~ '[\x01-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]') NOT VALID;
"""

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

ALTER TABLE tasks
    DROP CONSTRAINT tasks_state_check,
    ALTER title TYPE text COLLATE "C",
    ALTER description TYPE text,
    ADD CONSTRAINT tasks_valid_check CHECK (is_valid_task(title, description, status, completed_at, version));
DROP POLICY users_of_user ON users;
ALTER TABLE users
    ALTER id TYPE text,
    ALTER name TYPE text,
    ADD CONSTRAINT users_valid_check CHECK (is_valid_user(id, name));
DROP FUNCTION is_valid_state;
DROP DOMAIN user_id, user_name, task_title, task_description;
"""


def upgrade() -> None:
    op.execute(DOMAINS)
    op.execute(POLICY)


def downgrade() -> None:
    op.execute(FUNCTIONS)
    op.execute(POLICY)
