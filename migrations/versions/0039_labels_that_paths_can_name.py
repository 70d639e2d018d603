"""A label has another name than `.` and `..`, which no browser can send in a path: it takes them for steps (URL, 4.4).

Labels came with 0031, in the same release: there are none to be judged, so the rule is valid at once.
"""

from alembic import op

revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None

LINE = r"\x01-\x1f\x7f-\x9f\u2028-\u2029"
BLANK = (
    r"\x01-\x20\x7f-\xa0\xad\u034f\u061c\u115f-\u1160\u1680\u17b4-\u17b5\u180b-\u180f\u2000-\u200f"
    r"\u2028-\u202f\u205f-\u206f\u3000\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
BEFORE = f"char_length(VALUE) <= 60 AND VALUE ~ '[^{BLANK}]' AND VALUE !~ '[{LINE}]' AND VALUE !~ ','"


def _replace(rule: str) -> None:
    op.execute("ALTER DOMAIN label_name DROP CONSTRAINT label_name_check")
    op.execute(f"ALTER DOMAIN label_name ADD CONSTRAINT label_name_check CHECK ({rule})")


def upgrade() -> None:
    _replace(f"{BEFORE} AND VALUE <> '.' AND VALUE <> '..'")


def downgrade() -> None:
    _replace(BEFORE)
