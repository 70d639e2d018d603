"""SQL of the filters of lists, one condition each."""

from collections.abc import Callable, Sequence
from operator import le, lt
from typing import Any

from sqlalchemy import (
    CTE,
    Column,
    ColumnElement,
    Date,
    DateTime,
    SmallInteger,
    Text,
    Uuid,
    and_,
    any_,
    cast,
    collate,
    false,
    func,
    literal_column,
    not_,
    or_,
    select,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY

from todo_api.database import param
from todo_api.lists.sorts import is_dated, is_undated
from todo_api.models import task_labels, tasks

_USER_ID = param("user_id", Text)
_TIME = DateTime(timezone=True)


SEARCH_SETTINGS = {"enable_indexscan": "off", "work_mem": "16MB"}
"""Settings of PostgreSQL for a search, which reads all tasks of the user.

In the order of an index it would take each page of the table many times. The ids of 100,000 tasks
fit into that memory.
"""


def _has_words() -> ColumnElement[bool]:
    """Return whether title and description contain all `words`.

    Texts that are not ASCII are case-folded when written, and `lower` leaves them as they are. For
    one word they are not joined, which takes longer than to look into each.
    """
    title = func.coalesce(tasks.c.title_folded, tasks.c.title)
    description = func.coalesce(tasks.c.description_folded, tasks.c.description)
    words = param("words", ARRAY(Text))
    word = func.unnest(words).column_valued("word")
    patterns = func.array(select("%" + func.fold_case(word) + "%").scalar_subquery(), type_=ARRAY(Text))

    def has_all(text: ColumnElement[Any]) -> ColumnElement[bool]:
        return func.lower(collate(text, "C")).like(func.all(patterns))

    several = func.cardinality(words) > literal_column("1")
    joined = title + "\n" + func.coalesce(description, "")
    return or_(and_(not_(several), or_(has_all(title), has_all(description))), and_(several, has_all(joined)))


def _has_come(member: str, is_whole_day: Callable[[Any, Any], ColumnElement[bool]]) -> ColumnElement[bool]:
    """Return whether the moment of `due` or `start` has come in the zone of the list.

    PostgreSQL converts no local time: what has no zone of its own is compared with local times.
    """
    day, at, zone, instant = (tasks.c[f"{member}_{part}"] for part in ("date", "time", "zone", "at"))
    local = cast(day, Date).op("+", return_type=DateTime())(at)
    until, since, now = (param(f"local_{name}", DateTime) for name in ("until", "since", "now"))
    floating = and_(zone.is_(None), at.is_not(None), or_(local <= until, and_(local >= since, local <= now)))
    whole = and_(zone.is_(None), at.is_(None), is_whole_day(day, param("today", Date)))
    return or_(and_(zone.is_not(None), instant <= param("now", _TIME)), whole, floating)


def _on_days() -> ColumnElement[bool]:
    """Return whether the local date in the zone of the list is between two days.

    The instant, in whatever zone, is near them: that is what the index is asked.
    """
    due = tasks.c
    near = [due.due_at >= param("earliest", _TIME), due.due_at < param("latest", _TIME)]
    days = [due.due_date >= param("first_day", Date), due.due_date <= param("last_day", Date)]
    instants = [due.due_at >= param("begins", _TIME), due.due_at < param("ends", _TIME)]
    by_date, by_instant = and_(due.due_zone.is_(None), *days), and_(due.due_zone.is_not(None), *instants)
    return and_(is_dated(tasks), *near, or_(by_date, by_instant))


def _has_labels() -> ColumnElement[bool]:
    """Return whether a task has all `labels`, distinct keys. No operator on arrays is leakproof.

    The ids are an array, which PostgreSQL looks up in one pass of the primary key, or in the tasks.
    In a join it takes each label for a rare one, and looks up 50,000 tasks one by one.
    """
    wanted = param("labels", ARRAY(Text))
    labelled = (
        select(task_labels.c.task_id)
        .where(task_labels.c.user_id == _USER_ID, task_labels.c.label_key == any_(wanted))
        .group_by(task_labels.c.task_id)
        .having(func.count() == func.cardinality(wanted))
    )
    return tasks.c.id == any_(func.array(labelled.scalar_subquery(), type_=ARRAY(Uuid)))


_STARTED = _has_come("start", le)

CONDITIONS: dict[str, ColumnElement[bool]] = {
    "words": _has_words(),
    "due_none": is_undated(tasks),
    "due_any": is_dated(tasks),
    "due_overdue": and_(is_dated(tasks), tasks.c.due_at < param("soon", _TIME), _has_come("due", lt)),
    "due_on_days": _on_days(),
    "startable": or_(tasks.c.start_at.is_(None), _STARTED),
    "not_startable": and_(tasks.c.start_at.is_not(None), tasks.c.start_at > param("lately", _TIME), not_(_STARTED)),
    "priorities": tasks.c.priority == any_(param("priorities", ARRAY(SmallInteger))),
    "project_id": tasks.c.project_id == param("project_id", Uuid),
    "labels": _has_labels(),
    "in_no_project": tasks.c.project_id.is_(None),
    "parent_id": tasks.c.parent_id == param("parent_id", Uuid),
    "without_parent": tasks.c.parent_id.is_(None),
    "updated_since": tasks.c.updated_at >= param("updated_since", _TIME),
}
"""The condition of each filter, by its name. Its parameter has the same name, if it has but one."""

_SPLIT = {"priorities"}
"""Conditions whose index is two, of tasks with and without a due date."""

_HALVED = {"due_none", "due_any", "due_overdue", "due_on_days"}
"""Conditions that one of these two halves meets."""


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
        *(CONDITIONS[name] for name in names),
    )
    if _SPLIT.isdisjoint(names) or not _HALVED.isdisjoint(names):
        return wanted.cte("found_tasks")
    return union_all(*(wanted.where(half(tasks)) for half in (is_dated, is_undated))).cte("found_tasks")
