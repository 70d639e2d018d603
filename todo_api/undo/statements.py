"""SQL that puts members back: of many tasks and projects at once, under one number.

The transaction has locked the user's row. `new` is a JSON array of rows. Rules over several rows
are looked at after the write, which is rolled back if one is broken.
"""

from functools import cache
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    ColumnClause,
    ColumnElement,
    Date,
    DateTime,
    SmallInteger,
    Table,
    Text,
    Time,
    Uuid,
    all_,
    and_,
    any_,
    case,
    column,
    delete,
    exists,
    func,
    literal_column,
    not_,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.types import TypeEngine

from todo_api import guards
from todo_api.database import Statement, param
from todo_api.models import STATUSES, history, projects, task_labels, tasks, trash, users
from todo_api.task_dates import NO_DATES, computed
from todo_api.task_tree import DEEPEST, MOST_CHILDREN

_USER_ID = param("user_id", Text)
_IDS = param("ids", ARRAY(Uuid))
_SEQ = param("seq", BigInteger)
_NUMBER = select(users.c.seq).where(users.c.id == _USER_ID).scalar_subquery()
_MINE = tasks.c.user_id == _USER_ID


@cache
def lock(*, by_key: bool) -> Statement:
    """Lock the user's row and the caller's key; return the user's last number and zone."""
    me = guards.locked(key=by_key, columns=[users.c.seq, users.c.time_zone])
    return Statement(select(me.c.seq, me.c.time_zone))


@cache
def act(action: str) -> Statement:
    """Have the rest of the transaction noted as this action; as what it is if that is empty."""
    return Statement(select(func.set_config("app.action", literal_column(f"'{action}'"), literal_column("true"))))


set_number = Statement(update(users).where(users.c.id == _USER_ID).values(seq=_SEQ).returning(users.c.seq))
"""Set the user's last number."""

present = {
    table.name: Statement(select(table.c.id).where(table.c.user_id == _USER_ID, table.c.id == any_(_IDS)))
    for table in (tasks, projects)
}
"""Return which of the `ids` there are."""


def _rows(kinds: dict[str, Any]) -> Any:
    """Return the rows of `new` as a table with these columns."""
    columns: list[ColumnClause[Any]] = [column(name, kind) for name, kind in kinds.items()]
    return func.json_to_recordset(param("new", JSON)).table_valued(*columns, name="new").render_derived(with_types=True)


DATES: dict[str, type[TypeEngine[Any]]] = {
    name: {"date": Date, "time": Time, "at": DateTime}.get(name.rpartition("_")[2], Text) for name in NO_DATES
}
PLAIN: dict[str, type[TypeEngine[Any]]] = {
    **dict.fromkeys(("title", "description", "status", "links", "labels", "position"), Text),
    "completed_at": DateTime,
    "priority": SmallInteger,
    "project_id": Uuid,
    "parent_id": Uuid,
}
"""Columns of a task that are set to what is in `new`, with their types. `dated` is for DATES."""


def _put_back() -> Statement:
    timed = {name: DateTime(timezone=True) if kind is DateTime else kind for name, kind in {**PLAIN, **DATES}.items()}
    rows = _rows({"id": Uuid, "dated": Boolean, **timed})
    new = select(*rows.c).cte("new")
    was = select(tasks.c.status.label("was"), new.c.status.label("becomes")).where(_MINE, tasks.c.id == new.c.id)
    both = was.cte("was")
    counts = {
        status: users.c[status]
        + select(
            func.count().filter(both.c.becomes == literal_column(f"'{status}'"))
            - func.count().filter(both.c.was == literal_column(f"'{status}'"))
        ).scalar_subquery()
        for status in STATUSES
    }
    owner = (
        update(users)
        .where(users.c.id == _USER_ID)
        .values(**counts, **computed(param("zone", Text)))
        .returning(users.c.seq, func.clock_timestamp().label("at"))
        .cte("owner")
    )
    values: dict[str, Any] = {name: new.c[name] for name in PLAIN}
    values |= {name: case((new.c.dated, new.c[name]), else_=tasks.c[name]) for name in DATES}
    values |= {"version": owner.c.seq, "updated_at": owner.c.at}
    return Statement(update(tasks).where(_MINE, tasks.c.id == new.c.id).values(values))


put_back = _put_back()
"""Set the columns of tasks to those in `new`. Their version is the user's last number."""

OF_PROJECT = ("name", "description", "color", "position")


def _put_projects_back() -> Statement:
    new = _rows({"id": Uuid, **dict.fromkeys(OF_PROJECT, Text)})
    values = {name: new.c[name] for name in OF_PROJECT} | {"version": _NUMBER, "updated_at": func.clock_timestamp()}
    return Statement(update(projects).where(projects.c.user_id == _USER_ID, projects.c.id == new.c.id).values(values))


put_projects_back = _put_projects_back()
"""Set the columns of projects to those in `new`. Their version is the user's last number."""


def _put_labels_back() -> Statement:
    new = select(*_rows({"task_id": Uuid, "label_key": Text, "name": Text}).c).cte("new")
    of_these = and_(task_labels.c.user_id == _USER_ID, task_labels.c.task_id == any_(_IDS))
    kept = exists().where(new.c.task_id == task_labels.c.task_id, new.c.label_key == task_labels.c.label_key)
    gone = delete(task_labels).where(of_these, not_(kept)).cte("gone")
    rows = select(_USER_ID, new.c.task_id, new.c.label_key, new.c.name, _NUMBER)
    made = insert(task_labels).from_select([each.name for each in task_labels.c], rows)
    written = made.on_conflict_do_update(
        index_elements=[task_labels.c.user_id, task_labels.c.task_id, task_labels.c.label_key],
        set_={"name": made.excluded.name, "version": made.excluded.version},
        where=task_labels.c.name != made.excluded.name,
    )
    return Statement(select(literal_column("1")).add_cte(gone, written.cte("written")))


put_labels_back = _put_labels_back()
"""Give the tasks `ids` the labels in `new`, and no others."""


def _follow() -> Statement:
    parent = tasks.alias("parent")
    below = and_(parent.c.user_id == _USER_ID, parent.c.id == tasks.c.parent_id)
    moved = tasks.c.project_id.is_distinct_from(parent.c.project_id)
    these = or_(tasks.c.id == any_(_IDS), tasks.c.parent_id == any_(_IDS))
    values = {"project_id": parent.c.project_id, "version": _NUMBER, "updated_at": func.clock_timestamp()}
    return Statement(update(tasks).where(_MINE, below, these, moved).values(values).returning(tasks.c.id))


follow = _follow()
"""Set the project of the tasks `ids`, and of their children, to their parents'. Return which."""


def _recount() -> Statement:
    child = tasks.alias("child")
    number = (
        select(func.count())
        .where(child.c.user_id == _USER_ID, child.c.parent_id == tasks.c.id)
        .correlate(tasks)
        .scalar_subquery()
    )
    return Statement(
        update(tasks).where(_MINE, tasks.c.id == any_(_IDS), tasks.c.children != number).values(children=number)
    )


recount = _recount()
"""Count the children of the tasks `ids`."""

is_full = Statement(
    select(tasks.c.id)
    .where(_MINE, tasks.c.id == any_(_IDS), tasks.c.children > literal_column(str(MOST_CHILDREN)))
    .limit(literal_column("1"))
)
"""Return a row if one of the tasks `ids` has too many children."""


def _too_deep() -> Statement:
    child, above = tasks.alias("child"), tasks.alias("above")
    root = select(tasks.c.id, tasks.c.id.label("root")).where(_MINE, tasks.c.id == any_(_IDS))
    below = root.cte("below", recursive=True)
    further = select(child.c.id, below.c.root).where(child.c.user_id == _USER_ID, child.c.parent_id == below.c.id)
    below = below.union(further)
    first = select(below.c.root, below.c.id.label("id"), literal_column("1").label("depth"))
    line = first.cte("line", recursive=True)
    higher = select(line.c.root, above.c.parent_id, line.c.depth + 1).where(
        above.c.user_id == _USER_ID,
        above.c.id == line.c.id,
        above.c.parent_id.is_not(None),
        line.c.depth <= literal_column(str(DEEPEST)),
    )
    line = line.union_all(higher)
    return Statement(select(line.c.root).where(line.c.depth > literal_column(str(DEEPEST))).distinct())


too_deep = _too_deep()
"""Return those of the tasks `ids` with which one is too deep, or below itself."""

_TOLD = and_(history.c.user_id == _USER_ID, history.c.seq == _SEQ)
_WAS_THERE = and_(_TOLD, history.c.version_before < _SEQ)
"""The condition for what the write of a number changed and had not created itself."""

trashed = Statement(
    select(trash.c.kind, trash.c.id)
    .join(history, and_(_WAS_THERE, history.c.kind == trash.c.kind, history.c.id == trash.c.id))
    .where(
        trash.c.user_id == _USER_ID,
        trash.c.version == _SEQ,
        trash.c.root_id == trash.c.id,
        trash.c.root_kind == trash.c.kind,
        history.c.action == literal_column("'trashed'"),
    )
    .order_by(trash.c.kind, trash.c.id)
)
"""Return (kind, id) of what the write deleted by itself: projects, then tasks."""


def _is_same(table: Table) -> ColumnElement[bool]:
    """Return the condition that a row is the object that the history tells of.

    An id can be taken again once what had it is deleted for good. What is older than the numbers of
    creations has none.
    """
    is_old = func.coalesce(table.c.first_version, literal_column("0")) <= history.c.seq
    is_kind = history.c.kind == literal_column(f"'{table.name[:-1]}'")
    return and_(is_kind, table.c.user_id == _USER_ID, table.c.id == history.c.id, is_old)


lost = {
    table.name: Statement(
        select(history.c.id).where(
            _WAS_THERE,
            history.c.kind == literal_column(f"'{table.name[:-1]}'"),
            history.c.action != literal_column("'restored'"),
            ~exists().where(_is_same(table)),
        )
    )
    for table in (tasks, projects)
}
"""Return what the write changed or deleted, and is not there now."""


def _made(table: Table) -> Statement:
    created = and_(table.c.user_id == _USER_ID, table.c.version >= _SEQ, table.c.first_version == _SEQ)
    restored = and_(_TOLD, history.c.action == literal_column("'restored'"))
    back = select(table.c.id, table.c.version).select_from(history.join(table, _is_same(table))).where(restored)
    return Statement(select(table.c.id, table.c.version).where(created).union(back))


made = {table.name: _made(table) for table in (tasks, projects)}
"""Return (id, version) of what the write created or brought back, as far as it is there."""

_PLACE = (tasks.c.id, tasks.c.parent_id, tasks.c.project_id)
_PROJECT_IDS = param("project_ids", ARRAY(Uuid))


def _hanging() -> Statement:
    these = func.unnest(_IDS).column_valued("these")
    below = and_(tasks.c.parent_id.is_(None), tasks.c.project_id == any_(_PROJECT_IDS))
    stays = ~exists().where(these == tasks.c.id)
    return Statement(select(*_PLACE).where(_MINE, or_(tasks.c.parent_id == any_(_IDS), below), stays))


hanging = _hanging()
"""Return (id, parent, project) of others that are below the tasks `ids`, or in `project_ids`."""

places = Statement(select(*_PLACE).where(_MINE, tasks.c.id == any_(_IDS)))
"""Return (id, parent, project) of the tasks `ids`."""

outside = Statement(
    select(tasks.c.id).where(
        _MINE,
        tasks.c.id == any_(_IDS),
        or_(tasks.c.project_id.is_(None), tasks.c.project_id != all_(_PROJECT_IDS)),
    )
)
"""Return which of the tasks `ids` are in none of `project_ids`."""

count = Statement(select(func.count()).where(history.c.user_id == _USER_ID, history.c.seq == _SEQ))
"""Return how many tasks and projects the write of that number changed."""

follows = Statement(
    select(literal_column("1"))
    .where(history.c.user_id == _USER_ID, history.c.seq > _SEQ, history.c.version_before == _SEQ)
    .limit(literal_column("1"))
)
"""Return a row if something that the write of that number left was changed later."""
