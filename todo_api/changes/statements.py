"""SQL of the feed: a page of it, and the purge of tombstones."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    FromClause,
    Integer,
    Table,
    Text,
    Uuid,
    and_,
    any_,
    cast,
    delete,
    func,
    literal_column,
    null,
    select,
    true,
    tuple_,
    union_all,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, DOMAIN

from todo_api import guards
from todo_api.changes.tokens import RANKS
from todo_api.database import Statement, expired_rows, param
from todo_api.lists import MAX_PAGE
from todo_api.models import TOMBSTONES_KEPT, projects, tasks, tombstones, users
from todo_api.task_rows import TASK_COLUMNS, as_task

USER_ID = param("user_id", Text)
_LIMIT = param("limit", Integer)
_COLUMNS = (*TASK_COLUMNS, projects.c.name, projects.c.color)
_TEXTS = ("title", "description", "links", "labels", "name")
_ORDER = ("version", "rank", "id")


def _column(table: Table, column: Column[Any]) -> ColumnElement[Any]:
    """Return the column of that name of the table, null if it has none."""
    kind = column.type.data_type if isinstance(column.type, DOMAIN) else column.type
    return cast(table.c[column.name] if column.name in table.c else null(), kind).label(column.name)


def _branch(kind: str, table: Table, owner: FromClause, *conditions: ColumnElement[bool]) -> FromClause:
    """Return the first objects of a kind after its place: one ordered, limited index scan."""
    rank = RANKS[kind]
    after = tuple_(param(f"version_{rank}", BigInteger), param(f"id_{rank}", Uuid))
    return (
        select(literal_column(str(rank)).label("rank"), *(_column(table, column) for column in _COLUMNS))
        .where(table.c.user_id == USER_ID, tuple_(table.c.version, table.c.id) > after, owner.c.is_unknown, *conditions)
        .order_by(table.c.version, table.c.id)
        .limit(_LIMIT)
        .correlate(owner)
        .subquery()
    )


def _deleted(kind: str, table: Table, owner: FromClause) -> FromClause:
    """Return the tombstones of a kind, without those of what is there again."""
    again = select(table.c.id).where(table.c.user_id == USER_ID, table.c.id == tombstones.c.id).exists()
    is_kind = tombstones.c.kind == literal_column(f"'{kind}'")
    return _branch(f"deleted {kind}", tombstones, owner, is_kind, ~again)


def _page() -> Statement:
    state = func.concat_ws(" ", users.c.epoch, users.c.seq, users.c.horizon).label("state")
    owner = (
        select(guards.is_unknown().label("is_unknown"), state)
        .where(users.c.id == USER_ID)
        .cte("owner")
        .prefix_with("MATERIALIZED")
    )
    branches = (
        _branch("project", projects, owner),
        _branch("task", tasks, owner),
        _deleted("project", projects, owner),
        _deleted("task", tasks, owner),
    )
    found = union_all(*(select(*branch.c) for branch in branches)).subquery("found")
    first = select(found).order_by(*(found.c[name] for name in _ORDER)).limit(_LIMIT).subquery("first")
    size: ColumnElement[int] = literal_column("0")
    for name in _TEXTS:  # known without reading a long text
        size = size + func.coalesce(func.octet_length(first.c[name]), 0)
    before = func.sum(size).over(order_by=[first.c[name] for name in _ORDER], rows=(None, -1))
    summed = select(first, func.coalesce(before, 0).label("octets_before")).subquery("summed")
    item = select(summed).where(summed.c.octets_before <= MAX_PAGE).lateral("item")
    columns = (item.c.rank, *as_task(item), item.c.name, item.c.color)
    rows = select(*columns, owner.c.state).select_from(owner.outerjoin(item, true()))
    return Statement(rows.order_by(*(item.c[name] for name in _ORDER)), times_as_text=True)


page = _page()
"""Read a page; returns (rank, *task, name, color, state) per object.

The state is the text `epoch seq horizon`. An empty page is one row of nulls with it, an unknown
user has no row. If the user's `epoch-seq` is one of `known`, no object is read.

The page ends with the first object whose texts, added to those before it, exceed MAX_PAGE.
"""


last = Statement(select(users.c.epoch, users.c.seq).where(users.c.id == USER_ID))
"""Return the user's epoch and the number of their last write."""

waited_for = Statement(select(users.c.id, users.c.seq).where(users.c.id == any_(param("user_ids", ARRAY(Text)))))
"""Return the id and the number of each of the users `user_ids` who has a row."""


def _purge() -> Statement:
    """Raise the horizon of the users, and delete tombstones.

    The user's row is locked first, as by every write.
    """
    is_old = tombstones.c.deleted_at < func.now() - literal_column(f"interval '{TOMBSTONES_KEPT}'")
    old = expired_rows(tombstones, is_old, tombstones.c.version)
    latest = select(old.c.user_id, func.max(old.c.version).label("version")).group_by(old.c.user_id).subquery("latest")
    raised = (
        update(users)
        .where(users.c.id == latest.c.user_id)
        .values(horizon=func.greatest(users.c.horizon, latest.c.version))
        .returning(users.c.id)
        .cte("raised")
    )
    these = and_(*(tombstones.c[name] == old.c[name] for name in ("user_id", "kind", "id")))
    # What was deleted again meanwhile is not old any more.
    gone = (
        delete(tombstones).where(these, old.c.user_id == raised.c.id, is_old).returning(literal_column("1")).cte("gone")
    )
    return Statement(select(cast(func.count(), Integer)).select_from(gone))


PURGE = _purge()
