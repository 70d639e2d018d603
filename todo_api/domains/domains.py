"""The domains, and the characters that their rules name."""

from sqlalchemy import Date, SmallInteger, Text
from sqlalchemy.dialects.postgresql import DOMAIN

LINE_ENDS = r"\x01-\x1f\x7f-\x9f\u2028-\u2029"
"""Characters that a line of text must not have: control characters (Cc), line breaks (UAX 14)."""

BLANK = (
    r"\x01-\x20\x7f-\xa0\xad\u034f\u061c\u115f-\u1160\u1680\u17b4-\u17b5\u180b-\u180f\u2000-\u200f"
    r"\u2028-\u202f\u205f-\u206f\u3000\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
"""Invisible characters: those, `White_Space` and `Default_Ignorable_Code_Point` (Unicode 17)."""


class TextDomain(DOMAIN):
    """A domain with the operators of text."""

    operator_classes = Text.operator_classes
    comparator_factory = Text.comparator_factory


class SmallIntegerDomain(DOMAIN):
    """A domain with the operators of a small integer."""

    operator_classes = SmallInteger.operator_classes
    comparator_factory = SmallInteger.comparator_factory


class DateDomain(DOMAIN):
    """A domain with the operators of a date."""

    operator_classes = Date.operator_classes
    comparator_factory = Date.comparator_factory


def _text(name: str, rule: str, collation: str | None = None) -> TextDomain:
    """Return text with a rule."""
    return TextDomain(name, Text(), collation=collation, constraint_name=f"{name}_check", check=rule)


def _one_line(length: int) -> str:
    return f"char_length(VALUE) <= {length} AND VALUE ~ '[^{BLANK}]' AND VALUE !~ '[{LINE_ENDS}]'"


USER_ID = _text("user_id", "char_length(VALUE) BETWEEN 1 AND 255")
USER_NAME = _text("user_name", _one_line(200))
KEY_NAME = _text("key_name", _one_line(100))
PROJECT_NAME = _text("project_name", _one_line(120))
TASK_TITLE = _text("task_title", _one_line(255), collation="C")
TASK_DESCRIPTION = _text(
    "task_description", r"char_length(VALUE) <= 5000 AND VALUE !~ '[\x01-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]'"
)
PROJECT_DESCRIPTION = _text(
    "project_description", r"char_length(VALUE) <= 500 AND VALUE !~ '[\x01-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]'"
)
TASK_PRIORITY = SmallIntegerDomain(
    "task_priority", SmallInteger(), constraint_name="task_priority_check", check="VALUE BETWEEN 0 AND 4"
)
# A create prepares the rules of what it leaves out, too: a function faster than operators.
TASK_LINKS = _text("task_links", "is_link_list(VALUE)")
LABEL_LIST = _text("label_list", "is_label_list(VALUE)")
LABEL_NAME = _text("label_name", f"{_one_line(60)} AND VALUE !~ ',' AND VALUE <> '.' AND VALUE <> '..'")
LABEL_KEY = _text("label_key", "octet_length(VALUE) >= 1 AND octet_length(VALUE) <= 1024", collation="C")
TASK_DATE = DateDomain("task_date", Date(), constraint_name="task_date_check", check="is_task_date(VALUE)")
TIME_ZONE = _text("time_zone", "is_time_zone(VALUE)")
POSITION_KEY = _text(
    "position_key",
    "octet_length(VALUE) >= 14 AND octet_length(VALUE) <= 250 AND VALUE ~ '^m[0-9A-Za-z]*$'",
    collation="C",
)
WEEK_DAY = _text("week_day", "VALUE IN ('monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday', 'sunday')")
