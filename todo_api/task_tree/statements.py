"""SQL of where tasks stand: locks, siblings and neighbours."""

from functools import cache

from sqlalchemy import ColumnElement, Text, Uuid, and_, func, literal_column, select, tuple_, union_all, update
from sqlalchemy.dialects.postgresql import ARRAY

from todo_api import guards
from todo_api.database import Statement, param
from todo_api.models import STATUSES, tasks, users
from todo_api.ordering import clock_key

USER_ID = param("user_id", Text)
SIBLING_ID = param("sibling_id", Uuid)
PLACE = (tasks.c.position, tasks.c.id)


def _siblings(in_project: bool) -> ColumnElement[bool]:
    """Return the condition for the siblings of the task that moves, itself left out."""
    in_same = tasks.c.project_id == param("project_id", Uuid) if in_project else tasks.c.project_id.is_(None)
    return and_(tasks.c.user_id == USER_ID, tasks.c.id != param("task_id", Uuid), in_same)


@cache
def lock(*, by_key: bool) -> Statement:
    """Lock the user's row, and the API key; return the key of the moment when it is locked."""
    return Statement(select(clock_key(func.clock_timestamp())).select_from(guards.locked(key=by_key)))


@cache
def sibling(*, in_project: bool) -> Statement:
    """Find a sibling by its id."""
    return Statement(select(*PLACE).where(_siblings(in_project), tasks.c.id == SIBLING_ID))


@cache
def near(*, up: bool, in_project: bool, limit: int = 1) -> Statement:
    """Return the siblings next above a place, or below it: one index scan per status."""
    place, bound = tuple_(*PLACE), tuple_(param("position", Text), SIBLING_ID)
    scans = [
        select(*PLACE)
        .where(
            _siblings(in_project),
            tasks.c.status == literal_column(f"'{status}'"),
            place > bound if up else place < bound,
        )
        .order_by(*(column if up else column.desc() for column in PLACE))
        .limit(literal_column(str(limit)))
        .subquery()
        for status in STATUSES
    ]
    found = union_all(*(select(*scan.c) for scan in scans)).subquery("found")
    order = (column if up else column.desc() for column in found.c)
    return Statement(select(*found.c).order_by(*order).limit(literal_column(str(limit))))


def _renumber() -> Statement:
    arrays = (param("ids", ARRAY(Uuid)), param("positions", ARRAY(Text)))
    new = func.unnest(*arrays).table_valued("id", "position", name="new").render_derived()
    number = select(users.c.seq).where(users.c.id == USER_ID).scalar_subquery()
    values = {"position": new.c.position, "version": number, "updated_at": func.clock_timestamp()}
    return Statement(update(tasks).where(tasks.c.user_id == USER_ID, tasks.c.id == new.c.id).values(values))


renumber = _renumber()
"""Set the `positions` of the tasks `ids`. Their version is the user's last number."""
