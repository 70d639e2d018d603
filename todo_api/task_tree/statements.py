"""SQL of where tasks stand: locks, ancestors and descendants, siblings and neighbours."""

from functools import cache

from sqlalchemy import (
    CTE,
    ColumnElement,
    SmallInteger,
    Text,
    Uuid,
    and_,
    any_,
    delete,
    func,
    literal_column,
    select,
    tuple_,
    union_all,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY

from todo_api import guards
from todo_api.database import Statement, param
from todo_api.models import STATUSES, tasks, users
from todo_api.ordering import clock_key

USER_ID = param("user_id", Text)
TASK_ID = param("task_id", Uuid)
SIBLING_ID = param("sibling_id", Uuid)
PLACE = (tasks.c.position, tasks.c.id)


_SIBLINGS: dict[str, ColumnElement[bool]] = {
    "parent": tasks.c.parent_id == param("parent_id", Uuid),
    "project": and_(tasks.c.project_id == param("project_id", Uuid), tasks.c.parent_id.is_(None)),
    "inbox": and_(tasks.c.project_id.is_(None), tasks.c.parent_id.is_(None)),
}
"""The condition for the tasks that a parent, or without one a project or the inbox, has."""


def _siblings(of: str) -> ColumnElement[bool]:
    """Return the condition for the siblings of the task that moves, itself left out."""
    return and_(tasks.c.user_id == USER_ID, tasks.c.id != TASK_ID, _SIBLINGS[of])


@cache
def lock(*, by_key: bool) -> Statement:
    """Lock the user's row, and the API key; return the key of the moment when it is locked."""
    return Statement(select(clock_key(func.clock_timestamp())).select_from(guards.locked(key=by_key)))


def _line() -> Statement:
    columns = (tasks.c.id, tasks.c.parent_id, tasks.c.project_id, tasks.c.children)
    first = select(*columns, literal_column("1").label("height"))
    line = first.where(tasks.c.user_id == USER_ID, tasks.c.id == param("parent_id", Uuid)).cte("line", recursive=True)
    above = select(*columns, line.c.height + 1).where(tasks.c.user_id == USER_ID, tasks.c.id == line.c.parent_id)
    line = line.union_all(above)
    return Statement(select(line.c.id, line.c.project_id, line.c.children).order_by(line.c.height))


line = _line()
"""Return (id, project_id, children) of the task `parent_id`, then of its parent, and so on."""


def _below() -> Statement:
    child, root = tasks.alias("child"), and_(tasks.c.user_id == USER_ID, tasks.c.parent_id == TASK_ID)
    below = select(tasks.c.id, tasks.c.status, literal_column("1").label("level")).where(root)
    found = below.cte("below", recursive=True)
    further = select(child.c.id, child.c.status, found.c.level + 1)
    found = found.union_all(further.where(child.c.user_id == USER_ID, child.c.parent_id == found.c.id))
    return Statement(select(*found.c))


below = _below()
"""Return (id, status, level) of the descendants of a task. Its children have level 1."""


@cache
def sibling(of: str) -> Statement:
    """Find a sibling by its id."""
    return Statement(select(*PLACE).where(_siblings(of), tasks.c.id == SIBLING_ID))


@cache
def near(of: str, *, up: bool, limit: int = 1) -> Statement:
    """Return the siblings next above a place, or below it.

    It is one scan of the index of children, or one per status of that of all tasks.
    """
    place, bound = tuple_(*PLACE), tuple_(param("position", Text), SIBLING_ID)
    branches = [[]] if of == "parent" else [[tasks.c.status == literal_column(f"'{status}'")] for status in STATUSES]
    scans = [
        select(*PLACE)
        .where(_siblings(of), *branch, place > bound if up else place < bound)
        .order_by(*(column if up else column.desc() for column in PLACE))
        .limit(literal_column(str(limit)))
        .subquery()
        for branch in branches
    ]
    found = union_all(*(select(*scan.c) for scan in scans)).subquery("found")
    order = (column if up else column.desc() for column in found.c)
    return Statement(select(*found.c).order_by(*order).limit(literal_column(str(limit))))


_IDS = param("ids", ARRAY(Uuid))
_NUMBERED = {
    "version": select(users.c.seq).where(users.c.id == USER_ID).scalar_subquery(),
    "updated_at": func.clock_timestamp(),
}
"""Values of a task that is changed by the write that took the user's last number."""


def _renumber() -> Statement:
    arrays = (_IDS, param("positions", ARRAY(Text)))
    new = func.unnest(*arrays).table_valued("id", "position", name="new").render_derived()
    values = {"position": new.c.position, **_NUMBERED}
    return Statement(update(tasks).where(tasks.c.user_id == USER_ID, tasks.c.id == new.c.id).values(values))


renumber = _renumber()
"""Set the `positions` of the tasks `ids`. Their version is the user's last number."""

_THESE = and_(tasks.c.user_id == USER_ID, tasks.c.id == any_(_IDS))

bring = Statement(update(tasks).where(_THESE).values(project_id=param("project_id", Uuid), **_NUMBERED))
"""Set the project of the tasks `ids`. Their version is the user's last number."""

count = Statement(
    update(tasks)
    .where(tasks.c.user_id == USER_ID, tasks.c.id == param("parent_id", Uuid))
    .values(children=tasks.c.children + param("step", SmallInteger))
)
"""Set how many children a task has. It is no change of the task."""


def counts_without(lost: CTE) -> dict[str, ColumnElement[int]]:
    """Return the user's counts by status without the rows of `lost`, which have a status."""
    return {
        status: users.c[status]
        - select(func.count()).where(lost.c.status == literal_column(f"'{status}'")).scalar_subquery()
        for status in STATUSES
    }


def _complete() -> Statement:
    was = select(tasks.c.status).where(_THESE).cte("was")
    counts = counts_without(was) | {"completed": users.c.completed + select(func.count(was.c.status)).scalar_subquery()}
    owner = guards.numbered(**counts)
    values = {"status": literal_column("'completed'"), "completed_at": owner.c.at, "updated_at": owner.c.at}
    return Statement(update(tasks).where(_THESE).values(version=owner.c.seq, **values))


complete = _complete()
"""Complete the open tasks `ids`, and take the user's next number."""


@cache
def remove(*, permanent: bool) -> Statement:
    """Delete the tasks `ids`, and take the user's next number."""
    lost = delete(tasks).where(_THESE).returning(tasks.c.status).cte("lost")
    numbered = update(users).where(users.c.id == USER_ID).values(seq=users.c.seq + 1, **counts_without(lost))
    return Statement(numbered.returning(users.c.seq, *guards.permanently(permanent)))
