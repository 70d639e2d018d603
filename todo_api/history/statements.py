"""SQL of the history: a page of one task's, a page of all, the whole, and the purge.

A page is a range of an index. One by credential or action reads past what is of others.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    DateTime,
    FromClause,
    Integer,
    Text,
    Uuid,
    any_,
    cast,
    func,
    literal_column,
    select,
    true,
    tuple_,
)
from sqlalchemy.dialects.postgresql import ARRAY

from todo_api import guards
from todo_api.database import Statement, delete_expired, param
from todo_api.models import history, tasks, users

USER_ID = param("user_id", Text)
TASK_ID = param("task_id", Uuid)
_TIME = DateTime(timezone=True)
_PLACE = (history.c.at, history.c.seq, history.c.kind, history.c.id)
_BEFORE = tuple_(
    param("before_at", _TIME), param("before_seq", BigInteger), param("before_kind", Text), param("before_id", Uuid)
)
_OF_TASK = (history.c.user_id == USER_ID, history.c.id == TASK_ID, history.c.kind == literal_column("'task'"))
COLUMNS = (
    history.c.seq,
    history.c.kind,
    history.c.id,
    history.c.action,
    history.c.at,
    history.c.actor,
    history.c.actor_name,
    cast(history.c.changes, Text).label("changes"),
    history.c.cut,
)


def _owner() -> FromClause:
    """Return the user's epoch and number, and whether the client does not know them."""
    return (
        select(users.c.epoch, users.c.seq, guards.is_unknown().label("is_unknown"))
        .where(users.c.id == USER_ID)
        .cte("owner")
    )


def _page(*conditions: ColumnElement[bool], order: tuple[Column[Any], ...], found: ColumnElement[bool]) -> Statement:
    owner = _owner()
    entries = (
        select(*COLUMNS)
        .where(owner.c.is_unknown, *conditions)
        .order_by(*(column.desc() for column in order))
        .limit(param("limit", Integer))
        .correlate(owner)
        .lateral("entry")
    )
    rows = select(owner.c.epoch, owner.c.seq, found.label("is_found"), *entries.c)
    rows = rows.select_from(owner.outerjoin(entries, true()))
    return Statement(rows.order_by(*(entries.c[column.name].desc() for column in order)), times_as_text=True)


of_task = _page(
    *_OF_TASK,
    history.c.seq < param("before_seq", BigInteger),
    order=(history.c.seq,),
    found=select(tasks.c.id).where(tasks.c.user_id == USER_ID, tasks.c.id == TASK_ID).exists()
    | select(history.c.seq).where(*_OF_TASK).order_by(history.c.seq.desc()).limit(1).scalar_subquery().is_not(None),
)
"""Read the entries of a task before a number, the newest first.

Returns (epoch, seq, whether the task is or was there, *entry), nulls for the entry if there is
none. If the user's `epoch-seq` is one of `known`, no entry is read. An unknown user has no row.
"""

_ACTORS, _ACTION = param("actors", ARRAY(Text)), param("action", Text)

of_all = _page(
    history.c.user_id == USER_ID,
    tuple_(*_PLACE) < _BEFORE,
    history.c.at >= param("since", _TIME),
    _ACTORS.is_(None) | (history.c.actor == any_(_ACTORS)),
    _ACTION.is_(None) | (history.c.action == _ACTION),
    order=_PLACE,
    found=true(),
)
"""Read the entries before a place and not before the time `since`, as `of_task` does.

`actors` and `action` are null for any.
"""

batch = Statement(
    select(*COLUMNS)
    .where(history.c.user_id == USER_ID, tuple_(*_PLACE) > _BEFORE)
    .order_by(*_PLACE)
    .limit(param("limit", Integer)),
    times_as_text=True,
)
"""Read the entries after a place, the oldest first."""

PURGE = delete_expired(history, history.c.day < func.current_date() - param("days", Integer))
"""Delete some entries of more than so many `days` ago. Returns how many."""
