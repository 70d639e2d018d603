"""SQL of the trash: a page of it, what goes from it for good, and what comes back."""

from collections.abc import Callable, Sequence
from functools import cache
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
    column,
    delete,
    func,
    insert,
    literal_column,
    or_,
    select,
    true,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY

from todo_api import guards
from todo_api.database import Statement, delete_expired, param
from todo_api.models import STATUSES, projects, tasks, trash, users
from todo_api.task_dates import computed
from todo_api.task_rows import as_task

USER_ID = param("user_id", Text)
ITEM_ID = param("item_id", Uuid)
_IDS = param("ids", ARRAY(Uuid))
_KIND = param("kind", Text)
_PROJECT_ID = param("project_id", Uuid)
_NONE: ColumnElement[int] = literal_column("0")
_SINCE = func.now() - func.make_interval(_NONE, _NONE, _NONE, param("days", Integer))
"""When what is still kept was deleted, at the earliest: years, months, weeks, days before now."""

_IS_ROOT = and_(trash.c.root_id == trash.c.id, trash.c.root_kind == trash.c.kind)
_KEPT_ROOTS = and_(trash.c.user_id == USER_ID, _IS_ROOT, trash.c.trashed_at >= _SINCE)
_OF_ITEM = and_(trash.c.user_id == USER_ID, trash.c.root_id == ITEM_ID, trash.c.root_kind == _KIND)
"""The condition for a root and what went along with it. Each half has an index."""

PURGE = delete_expired(trash, trash.c.trashed_at < _SINCE)


@cache
def lock(*, by_key: bool) -> Statement:
    """Lock the user's row and the caller's key; return the user's zone and number of projects."""
    columns = (users.c.time_zone, users.c.projects)
    me = guards.locked(key=by_key, columns=columns)
    return Statement(select(*(me.c[each.name] for each in columns)))


@cache
def page(*, continued: bool) -> Statement:
    """Return (epoch, seq, oldest, kind, id, title, version, trashed_at, actor, others) per root.

    The newest are first; `oldest` is the version of the oldest. An empty page is one row of nulls
    with it, an unknown user has no row.
    """
    along = trash.alias("along")
    others = (
        select(func.count())
        .where(along.c.user_id == USER_ID, along.c.root_id == trash.c.id, along.c.root_kind == trash.c.kind)
        .where(or_(along.c.root_id != along.c.id, along.c.root_kind != along.c.kind))
        .correlate(trash)
        .scalar_subquery()
    )
    place = tuple_(trash.c.version, trash.c.id)
    before = [place < tuple_(param("version", BigInteger), param("id", Uuid))] if continued else []
    columns = (trash.c.kind, trash.c.id, trash.c.title, trash.c.version, trash.c.trashed_at, trash.c.actor)
    item = (
        select(*columns, others.label("others"))
        .where(_KEPT_ROOTS, *before)
        .order_by(trash.c.version.desc(), trash.c.id.desc())
        .limit(param("limit", Integer))
        .subquery("item")
    )
    oldest = select(trash.c.version).where(_KEPT_ROOTS).order_by(trash.c.version).limit(literal_column("1"))
    rows = select(users.c.epoch, users.c.seq, oldest.scalar_subquery(), *item.c)
    rows = rows.select_from(users.outerjoin(item, true())).where(users.c.id == USER_ID)
    return Statement(rows.order_by(item.c.version.desc(), item.c.id.desc()))


def _member(name: str) -> ColumnElement[str]:
    member: ColumnElement[str] = trash.c.content[name].astext
    return member


root = Statement(
    select(trash.c.kind, cast(_member("parent_id"), Uuid), cast(_member("project_id"), Uuid))
    .where(_KEPT_ROOTS, trash.c.id == ITEM_ID, trash.c.kind == func.coalesce(_KIND, trash.c.kind))
    .order_by(trash.c.version.desc())
    .limit(literal_column("1"))
)
"""Find a root; return (kind, parent, project). Of a task and a project with one id, the later.

With a `kind` only one of that.
"""

contents = Statement(
    select(trash.c.id, cast(_member("parent_id"), Uuid), _member("status"), _member("labels")).where(
        _OF_ITEM, trash.c.kind == literal_column("'task'")
    )
)
"""Return (id, parent, status, labels) of each task of a root."""

project = Statement(select(projects.c.id).where(projects.c.user_id == USER_ID, projects.c.id == _PROJECT_ID))
is_in_trash = Statement(select(literal_column("1")).where(guards.is_in_trash("task", param("task_id", Uuid))))

_LAST = update(users).where(users.c.id == USER_ID).returning(users.c.seq)
_NUMBERED = _LAST.values(seq=users.c.seq + 1)


def _gone(*conditions: ColumnElement[bool]) -> Statement:
    gone = delete(trash).where(*conditions).returning(literal_column("1").label("one")).cte("gone")
    return Statement(_NUMBERED.where(select(gone.c.one).exists()))


remove = _gone(_OF_ITEM)
"""Delete a root and what went along. The user's next number says so to the tags of lists."""

empty = _gone(trash.c.user_id == USER_ID)
"""Delete all of the trash, with a number if there was something."""


def _rows(table: Table, gone: FromClause) -> FromClause:
    """Return the rows of a table that are in the contents, as they were."""
    columns: list[Any] = [column(each.name, each.type) for each in table.c]
    null: ColumnElement[Any] = literal_column(f"NULL::{table.name}")
    return func.jsonb_populate_record(null, gone.c.content).table_valued(*columns, name=table.name[:-1])


def _as_it_was(row: FromClause, each: Column[Any]) -> ColumnElement[Any]:
    """Return the value of a column. One that came later than the row has its default."""
    default = each.server_default
    return row.c[each.name] if default is None else func.coalesce(row.c[each.name], default.arg)  # type: ignore[attr-defined]  # a default of the server's has it


def _batch(table: Table, as_read: Callable[[FromClause], Sequence[ColumnElement[Any]]]) -> Statement:
    root, row = trash.alias("root"), _rows(table, trash)
    columns = (_as_it_was(row, each).label(each.name) for each in table.c)
    found = (
        select(
            *columns,
            trash.c.root_id,
            trash.c.version.label("trashed_as"),
            trash.c.trashed_at,
            root.c.actor,
        )
        .select_from(trash.join(row, true()).outerjoin(root, _is_root_of(root)))
        .where(trash.c.user_id == USER_ID, trash.c.kind == literal_column(f"'{table.name[:-1]}'"))
        .where(trash.c.id > param("after", Uuid), trash.c.trashed_at >= _SINCE)
        .order_by(trash.c.id)
        .limit(literal_column(str(BATCH)))
        .subquery("found")
    )
    of_trash = (found.c.root_id, found.c.trashed_as, found.c.trashed_at, found.c.actor)
    return Statement(select(*of_trash, *as_read(found)).order_by(found.c.id), times_as_text=True)


def _is_root_of(root: FromClause) -> ColumnElement[bool]:
    return and_(root.c.user_id == trash.c.user_id, root.c.kind == trash.c.root_kind, root.c.id == trash.c.root_id)


def _as_project(rows: FromClause) -> list[ColumnElement[Any]]:
    names = ("id", "name", "description", "color", "position", "created_at", "updated_at", "version")
    return [rows.c[name] for name in names]


BATCH = 50
"""Number of tasks or projects that an export reads at a time: at most 4.2 MB."""

batches = {"project": _batch(projects, _as_project), "task": _batch(tasks, as_task)}
"""Return (root, version, trashed_at, actor, *row) of the next ones of a kind by id `after` one.

The actor is that of what was deleted by itself. Times are texts.
"""


@cache
def restore(*, first: bool) -> Statement:
    """Bring the tasks `ids` of a root back, under the user's next number, which is returned.

    What is `first` takes that number, and brings back the project if that is the root. The tasks
    get `project_id`. `zone` is not null if some of them have dates.
    """
    these = and_(trash.c.user_id == USER_ID, trash.c.kind == literal_column("'task'"), trash.c.id == any_(_IDS))
    if first:
        these = or_(these, and_(_OF_ITEM, trash.c.kind == literal_column("'project'")))
    gone = delete(trash).where(these).returning(trash.c.kind, trash.c.content).cte("gone")
    status = gone.c.content["status"].astext
    counts = {
        each: users.c[each] + select(func.count()).where(status == literal_column(f"'{each}'")).scalar_subquery()
        for each in STATUSES
    }
    are_projects = gone.c.kind == literal_column("'project'")
    counts["projects"] = users.c.projects + select(func.count()).where(are_projects).scalar_subquery()
    owner = (
        (_NUMBERED if first else _LAST)
        .values(**counts, **computed(param("zone", Text)))
        .returning(func.clock_timestamp().label("at"))
        .cte("owner")
    )
    new = {"user_id": USER_ID, "version": owner.c.seq, "updated_at": owner.c.at}
    made = []
    for table, changed, wanted in (
        (projects, new, are_projects),
        (tasks, new | {"project_id": _PROJECT_ID}, gone.c.kind == literal_column("'task'")),
    ):
        row = _rows(table, gone)
        values = {each.name: changed.get(each.name, _as_it_was(row, each)) for each in table.c}
        rows = select(*values.values()).select_from(gone.join(owner, true()).join(row, true())).where(wanted)
        made.append(insert(table).from_select([*values], rows).cte(f"made_{table.name}"))
    return Statement(select(owner.c.seq).add_cte(*made))
