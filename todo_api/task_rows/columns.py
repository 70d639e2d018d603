"""The columns of a task, and those with which it is read.

What came after 1.0 is read as one text, null for a task that has nothing of it. psycopg2 takes
2,700 instructions for each column of a result, and PostgreSQL sorts shorter rows.
"""

from typing import Any

from sqlalchemy import ColumnElement, FromClause, SmallInteger, Text, case, cast, func, or_

from todo_api.models import tasks

_FIRST = (
    tasks.c.id,
    tasks.c.title,
    tasks.c.description,
    tasks.c.status,
    tasks.c.completed_at,
    tasks.c.created_at,
    tasks.c.updated_at,
    tasks.c.version,
    tasks.c.position,
    tasks.c.created_by,
)

MORE = (
    tasks.c.priority,
    tasks.c.links,
    tasks.c.dates,
    tasks.c.project_id,
    tasks.c.labels,
    tasks.c.parent_id,
)
"""The columns that are read as one, in the order of `todo_api.task_rows.task.More`."""

TASK_COLUMNS = (*_FIRST, *MORE)
"""The columns of a task, but for the user's id: who reads it knows whose it is."""


def as_task(rows: FromClause) -> list[ColumnElement[Any]]:
    """Return the columns as `Task` has them, for a statement with its times as text.

    `rows` have TASK_COLUMNS, or these columns already.
    """
    more = rows.c.more if "more" in rows.c else _more(rows)
    return [*(rows.c[column.name] for column in _FIRST), more.label("more")]


def _more(rows: FromClause) -> ColumnElement[str]:
    priority, *others = (rows.c[column.name] for column in MORE)
    is_there = or_(cast(priority, SmallInteger) != 0, *(column.is_not(None) for column in others))
    return case((is_there, cast(func.json_build_array(priority, *others), Text)))
