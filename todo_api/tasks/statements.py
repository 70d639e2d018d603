"""SQL of tasks, built with SQLAlchemy Core and compiled once per shape.

A write is one statement. It locks the user's row, then the task, takes the user's next number
(`users.seq`), updates the counts by status, and sets the number as the task's `version`. Locks last
to the commit, so numbers become visible in order. Every statement names the user, besides row-level
security. `by_key` requires that the caller's API key still exists (`guards.py`).
"""

from collections.abc import Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import Any

from sqlalchemy import (
    CTE,
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Integer,
    Text,
    Uuid,
    and_,
    any_,
    case,
    cast,
    delete,
    func,
    literal,
    literal_column,
    null,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, Insert, insert

from todo_api import guards
from todo_api.database import Statement, column_value, if_named, param
from todo_api.local_time import DEFAULT_ZONE
from todo_api.models import STATUSES, tasks, users
from todo_api.ordering import clock_key
from todo_api.task_dates import NO_DATES, computed
from todo_api.task_rows import as_task

DATES = tuple(tasks.c[name] for name in NO_DATES)

BRANCH = ("project_id", "parent_id")
"""Columns that say what a task hangs on."""

KEPT = ("priority", "links", "labels", *(column.name for column in DATES), *BRANCH)
"""Columns of the members that came after 1.0. A change names those that it sets in `named`."""

USER_ID = param("user_id", Text)
TASK_ID = param("task_id", Uuid)
STATUS = param("status", Text)
_COMPLETED: ColumnElement[str] = literal_column("'completed'")
MINE = and_(tasks.c.user_id == USER_ID, tasks.c.id == TASK_ID)


def _number(condition: ColumnElement[bool] | bool) -> ColumnElement[int]:
    return cast(condition, Integer)


def _at_version() -> ColumnElement[bool]:
    return tasks.c.version == any_(param("versions", ARRAY(BigInteger)))


def _from_source() -> ColumnElement[bool]:
    """Return a condition that no index serves: for one task, the primary key is best."""
    return func.array_position(param("sources", ARRAY(Text)), tasks.c.status).is_not(None)


TASK = as_task(tasks)

get = Statement(select(*TASK).where(MINE), times_as_text=True)
several = Statement(
    select(*TASK).where(tasks.c.user_id == USER_ID, tasks.c.id == any_(param("ids", ARRAY(Uuid)))), times_as_text=True
)
is_in_trash = Statement(select(literal_column("1")).where(guards.is_in_trash("task", TASK_ID)))
zone = Statement(select(users.c.time_zone).where(users.c.id == USER_ID))
get_with_zone = Statement(select(users.c.time_zone, *TASK).where(MINE, users.c.id == USER_ID), times_as_text=True)


def _in_zone() -> ColumnElement[bool]:
    """Return the condition that the user's zone is the one with which instants were computed."""
    computed = param("zone", Text)
    return or_(computed.is_(None), func.coalesce(users.c.time_zone, literal_column(f"'{DEFAULT_ZONE}'")) == computed)


@cache
def create(status: str, *, whole: bool = False, registered: bool, by_key: bool = False) -> Statement:
    """Insert a task; returns what `_OF_SERVER` names. `whole` has a priority and links.

    A `registered` user must have a row; another gets one with the first task. The status is part of
    the shape, since comparing it with each counted one would cost more than the rest of the count.
    """
    counted = update(users).where(users.c.id == USER_ID).values(**_one_more(status)).returning(users.c.seq)
    if by_key:
        me = guards.locked(key=True)
        counted = counted.where(users.c.id == me.c.id).returning(me.c.key_name)
    user = counted.cte("counted")
    by = guards.actor(user.c.key_name if by_key else None).label("by")
    has_row = registered or by_key
    number = user.c.seq if has_row else func.coalesce(user.c.seq, func.first_number(USER_ID, literal(status, Text)))
    one = select(literal_column("1")).subquery("one")
    found = select(number.label("seq"), func.clock_timestamp().label("at"), by)
    owner = found if has_row else found.select_from(one.outerjoin(user, true()))
    more = (tasks.c.priority, tasks.c.links) if whole else ()
    made = _made(_new_task(status, owner.cte("owner"), more)).returning(*_OF_SERVER)
    return Statement(made, times_as_text=True)


@cache
def create_whole(status: str, *, chosen: bool = False, by_key: bool = False) -> Statement:
    """As `create`, with dates, a branch, labels and an id of the client's, for a user with a row.

    It returns nothing if a task of theirs has the id, in the trash as well if a client has `chosen`
    it, or if the user is not in `zone`. Whether one has the id is known once the task is inserted,
    so the number is taken after that. The row was locked before, so it is still the next one.
    """
    me = guards.locked(_in_zone(), key=by_key, columns=[users.c.seq])
    by = guards.actor(me.c.key_name if by_key else None).label("by")
    owner = select((me.c.seq + 1).label("seq"), func.clock_timestamp().label("at"), by).cte("owner")
    values = _new_task(status, owner, [tasks.c[name] for name in KEPT])
    inserted = _made(values, *([~guards.is_in_trash("task", TASK_ID)] if chosen else [])).on_conflict_do_nothing(
        index_elements=[tasks.c.user_id, tasks.c.id]
    )
    made = inserted.returning(*_OF_SERVER).cte("made")
    noted = _one_more(status) | computed(param("zone", Text))
    counted = update(users).where(users.c.id == USER_ID, made.c.version.is_not(None)).values(**noted)
    return Statement(counted.returning(*made.c), times_as_text=True)


register = Statement(insert(users).values(id=USER_ID).on_conflict_do_nothing())
"""Give the user a row, unless they have one."""


_OF_SERVER = (tasks.c.created_at, tasks.c.version, tasks.c.position, tasks.c.created_by)
"""Columns of a new task that the service does not know."""


def _made(values: dict[Column[Any], ColumnElement[Any]], *conditions: ColumnElement[bool]) -> Insert:
    return insert(tasks).from_select(list(values), select(*values.values()).where(*conditions))


def _one_more(status: str) -> dict[str, ColumnElement[int]]:
    return {"seq": users.c.seq + 1, status: users.c[status] + 1}


def _new_task(status: str, owner: CTE, more: Sequence[Column[Any]]) -> dict[Column[Any], ColumnElement[Any]]:
    """Return the values of a new task. `owner` has its number and time, and who creates it."""
    written = (tasks.c.title, tasks.c.description, *more)
    return {
        tasks.c.id: TASK_ID,
        tasks.c.user_id: USER_ID,
        **{column: column_value(column) for column in written},
        tasks.c.status: literal(status, Text),
        tasks.c.completed_at: owner.c.at if status == "completed" else null(),
        tasks.c.created_at: owner.c.at,
        tasks.c.updated_at: owner.c.at,
        tasks.c.version: owner.c.seq,
        tasks.c.first_version: owner.c.seq,
        tasks.c.position: clock_key(owner.c.at),
        tasks.c.created_by: owner.c.by,
    }


def _locked(by_key: bool, *conditions: ColumnElement[bool], of_user: Sequence[ColumnElement[bool]] = ()) -> CTE:
    task = select(tasks.c.status, tasks.c.completed_at).where(MINE, *conditions)
    if by_key:
        me = guards.locked(*of_user, key=True)
        return task.where(tasks.c.user_id == me.c.id).with_for_update(key_share=True, of=tasks).cte("task")
    # One lock of both rows, in this order, costs less than two.
    return task.where(users.c.id == USER_ID, *of_user).with_for_update(key_share=True, of=[users, tasks]).cte("task")


def _write(
    task: CTE,
    target: ColumnElement[str] | None,
    values: dict[str, Any],
    among: Sequence[str] = STATUSES,
    of_user: Mapping[str, ColumnElement[Any]] = MappingProxyType({}),
) -> Statement:
    """Take the user's next number and change the task, with `of_user` more of the user's row.

    With `target`, also change its status to one of `among`, and the user's counts.
    """
    counts: dict[str, ColumnElement[int]] = {}
    if target is not None:
        counts = {status: users.c[status] - _number(task.c.status == status) for status in STATUSES}
        counts |= {status: counts[status] + _number(target == status) for status in among}
    owner = guards.numbered(task.c.status.is_not(None), **counts, **of_user)
    values = {**values, "updated_at": owner.c.at, "version": owner.c.seq}
    if target is not None:
        completed_at = case((target == "completed", func.coalesce(task.c.completed_at, owner.c.at)), else_=null())
        values |= {"status": target, "completed_at": completed_at}
    written = update(tasks).where(MINE).values(**values).returning(*as_task(tasks))
    return Statement(written, times_as_text=True)


_SPECIAL = frozenset({"status", "completed", "kept"})
"""Fields of a change that are more than one column set to what is sent."""


def _differs(fields: frozenset[str]) -> ColumnElement[bool]:
    """Return the condition that the task is not as `change` would set it."""
    found = [column_value(tasks.c[name]).is_distinct_from(tasks.c[name]) for name in sorted(fields - _SPECIAL)]
    if "status" in fields:
        found.append(tasks.c.status != STATUS)
    if "completed" in fields:
        found.append(tasks.c.status == literal_column("'completed'"))
    if "kept" in fields:
        # The text of the dates differs if one of their columns does.
        alike = {column.name for column in DATES} - {"dates"} | {*BRANCH}
        found += [if_named(tasks.c[name]).is_distinct_from(tasks.c[name]) for name in KEPT if name not in alike]
    return or_(*found)


@cache
def change(fields: frozenset[str], conditional: bool, by_key: bool = False) -> Statement:
    """Set `fields`, unless nothing changes. A status changes only from one of `sources`.

    Conditional: only at `versions`. A task that is to hang on something else is left as it is.

    The field `completed` reopens a completed task. `kept` sets those of KEPT that are `named`: one
    shape for all of them, since each of its own would double the number of shapes.
    """
    conditions = [_at_version()] if conditional else []
    if "status" in fields:
        conditions.append(_from_source())
        conditions.append(or_(STATUS != _COMPLETED, tasks.c.status == _COMPLETED, tasks.c.children == 0))
    if "kept" in fields:
        conditions += [if_named(tasks.c[name]).is_not_distinct_from(tasks.c[name]) for name in BRANCH]
    conditions.append(_differs(fields))
    task = _locked(by_key, *conditions, of_user=[_in_zone()] if "kept" in fields else [])
    target: ColumnElement[str] | None = STATUS if "status" in fields else None
    if "completed" in fields:
        target = case((task.c.status == "completed", literal_column("'pending'")), else_=task.c.status)
    values = {name: column_value(tasks.c[name]) for name in sorted(fields - _SPECIAL)}
    if "kept" in fields:
        values |= {name: if_named(tasks.c[name]) for name in KEPT if name not in BRANCH}
    return _write(task, target, values, of_user=computed(param("zone", Text)) if "kept" in fields else {})


PLAIN = ("title", "description", *(name for name in KEPT if name not in BRANCH))
"""Columns that say nothing of where a task stands and are set to what is sent."""


def _change_in_tree() -> Statement:
    values = {name: if_named(tasks.c[name]) for name in PLAIN}
    values |= {name: column_value(tasks.c[name]) for name in (*BRANCH, "position")}
    task = _locked(False, of_user=[_in_zone()])
    return _write(task, STATUS, values, of_user=computed(param("zone", Text)))


change_in_tree = _change_in_tree()
"""Set the status, the branch, the position, and those of PLAIN that are `named`.

Run it in a transaction that has locked the user's row and looked at the task. It returns nothing if
the user is not in `zone`.
"""


@cache
def complete(toggle: bool, conditional: bool, by_key: bool = False) -> Statement:
    """Change the status to `status` from one of `sources`, or toggle completed and pending.

    A task with children is not completed, unless it is to `leave` them.
    """
    conditions = [_at_version()] if conditional else []
    reopens = tasks.c.status == _COMPLETED if toggle else or_(STATUS != _COMPLETED, param("leave", Boolean))
    task = _locked(by_key, _from_source(), or_(reopens, tasks.c.children == 0), *conditions)
    if not toggle:
        return _write(task, STATUS, {})
    target = case((task.c.status == "completed", literal_column("'pending'")), else_=literal_column("'completed'"))
    return _write(task, target, {}, ("pending", "completed"))


@cache
def remove(conditional: bool, by_key: bool = False, *, permanent: bool = False) -> Statement:
    """Delete the task, if it has neither parent nor children; return a row if so."""
    conditions = [tasks.c.parent_id.is_(None), tasks.c.children == 0, *([_at_version()] if conditional else [])]
    me = guards.locked(key=by_key)
    gone = delete(tasks).where(MINE, tasks.c.user_id == me.c.id, *conditions).returning(tasks.c.status).cte("gone")
    counts = {status: users.c[status] - _number(gone.c.status == status) for status in STATUSES}
    return Statement(
        update(users)
        .where(users.c.id == USER_ID)  # and if there is a deleted row, which the counts join
        .values(seq=users.c.seq + 1, **counts)
        .returning(users.c.seq, *guards.permanently(permanent))
    )
