"""SQL of the filters of lists, one condition each."""

from collections.abc import Sequence

from sqlalchemy import (
    CTE,
    Column,
    ColumnElement,
    DateTime,
    SmallInteger,
    Text,
    Uuid,
    any_,
    collate,
    false,
    func,
    literal_column,
    or_,
    select,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY

from todo_api.database import param
from todo_api.lists.sorts import is_dated, is_undated
from todo_api.models import tasks

_USER_ID = param("user_id", Text)


def _has_words() -> ColumnElement[bool]:
    """Return whether title and description contain all `words`.

    Texts are case-folded when written. `fold_case` folds ASCII ones, and those that no migration
    has folded yet.
    """
    title = func.coalesce(tasks.c.title_folded, func.fold_case(tasks.c.title))
    description = func.coalesce(tasks.c.description_folded, func.fold_case(tasks.c.description), "")
    word = func.unnest(param("words", ARRAY(Text))).column_valued("word")
    patterns = func.array(select("%" + func.fold_case(word) + "%").scalar_subquery(), type_=ARRAY(Text))
    return collate(title + "\n" + description, "C").like(func.all(patterns))


_CONDITIONS: dict[str, ColumnElement[bool]] = {
    "words": _has_words(),
    "priorities": tasks.c.priority == any_(param("priorities", ARRAY(SmallInteger))),
    "project_id": tasks.c.project_id == param("project_id", Uuid),
    "in_no_project": tasks.c.project_id.is_(None),
    "updated_since": tasks.c.updated_at >= param("updated_since", DateTime(timezone=True)),
}
"""The condition of each filter, by its name. Its parameter has the same name."""

_SPLIT = {"priorities"}
"""Conditions whose index is two, of tasks with and without a due date."""


def is_status(status: str) -> ColumnElement[bool]:
    """Return whether a task has the status, as a constant."""
    return tasks.c.status == literal_column(f"'{status}'")


def found_tasks(statuses: Sequence[str], names: Sequence[str], columns: Sequence[Column[object]]) -> CTE:
    """Return columns of the user's tasks with these statuses that meet all named conditions.

    PostgreSQL reads them once, for the page and for the total.
    """
    wanted = select(*columns).where(
        tasks.c.user_id == _USER_ID,
        or_(false(), *(is_status(status) for status in statuses)),
        *(_CONDITIONS[name] for name in names),
    )
    if _SPLIT.isdisjoint(names):
        return wanted.cte("found_tasks")
    return union_all(*(wanted.where(half(tasks)) for half in (is_dated, is_undated))).cte("found_tasks")
