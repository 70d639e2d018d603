"""Domains: types of columns with a rule of their own.

PostgreSQL evaluates the rule of a domain only if a statement writes the column, so a statement that
leaves the column alone does not pay for it.
"""

from todo_api.domains.domains import (
    BLANK,
    KEY_NAME,
    LABEL_KEY,
    LABEL_LIST,
    LABEL_NAME,
    LINE_ENDS,
    POSITION_KEY,
    PROJECT_DESCRIPTION,
    PROJECT_NAME,
    TASK_DATE,
    TASK_DESCRIPTION,
    TASK_LINKS,
    TASK_PRIORITY,
    TASK_TITLE,
    TIME_ZONE,
    USER_ID,
    USER_NAME,
    WEEK_DAY,
)

__all__ = [
    "BLANK",
    "KEY_NAME",
    "LABEL_KEY",
    "LABEL_LIST",
    "LABEL_NAME",
    "LINE_ENDS",
    "POSITION_KEY",
    "PROJECT_DESCRIPTION",
    "PROJECT_NAME",
    "TASK_DATE",
    "TASK_DESCRIPTION",
    "TASK_LINKS",
    "TASK_PRIORITY",
    "TASK_TITLE",
    "TIME_ZONE",
    "USER_ID",
    "USER_NAME",
    "WEEK_DAY",
]
