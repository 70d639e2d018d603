"""SQL of tasks, built with SQLAlchemy Core and compiled once per shape.

A write is one statement. It locks the user's row, then the task, takes the user's next number
(`users.seq`), updates the counts by status, and sets the number as the task's `version`. Locks last
to the commit, so numbers become visible in order. Every statement names the user, besides row-level
security. `by_key` requires that the caller's API key still exists (`guards.py`).
"""

from collections.abc import Sequence
from functools import cache, reduce
from operator import add
from typing import Any

from sqlalchemy import (
    CTE,
    BigInteger,
    Column,
    ColumnElement,
    FromClause,
    Integer,
    Select,
    Text,
    Uuid,
    all_,
    and_,
    any_,
    case,
    cast,
    collate,
    delete,
    false,
    func,
    literal,
    literal_column,
    null,
    or_,
    select,
    true,
    tuple_,
    union_all,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, DOMAIN, insert

from todo_api import guards
from todo_api.database import Statement, column_value, param
from todo_api.models import STATUSES, tasks, users

TASK_COLUMNS = (
    tasks.c.id,
    tasks.c.user_id,
    tasks.c.title,
    tasks.c.description,
    tasks.c.status,
    tasks.c.completed_at,
    tasks.c.created_at,
    tasks.c.updated_at,
    tasks.c.version,
    tasks.c.priority,
    tasks.c.links,
)

KEPT = ("priority", "links")
"""Columns of the members that came after 1.0. A change names those that it sets in `named`."""

SEARCH_SECONDS = 1
"""Maximum seconds of a search. It reads every task of the user, and others wait meanwhile."""

BATCH = 500
"""Maximum number of tasks that an export reads at a time."""

BATCH_OCTETS = 256 * 1024
"""Bytes of text after which a batch of an export ends."""

USER_ID = param("user_id", Text)
TASK_ID = param("task_id", Uuid)
STATUS = param("status", Text)
LIMIT = param("limit", Integer)
SKIP = param("skip", Integer)
MINE = and_(tasks.c.user_id == USER_ID, tasks.c.id == TASK_ID)


def _number(condition: ColumnElement[bool] | bool) -> ColumnElement[int]:
    return cast(condition, Integer)


def _at_version() -> ColumnElement[bool]:
    return tasks.c.version == any_(param("versions", ARRAY(BigInteger)))


def _from_source() -> ColumnElement[bool]:
    """Return a condition that no index serves: for one task, the primary key is best."""
    return func.array_position(param("sources", ARRAY(Text)), tasks.c.status).is_not(None)


get = Statement(select(*TASK_COLUMNS).where(MINE))


@cache
def create(status: str, *, registered: bool, by_key: bool = False) -> Statement:
    """Insert a task; returns (completed_at, created_at, version).

    A `registered` user must have a row; another gets one with the first task. The status is part of
    the shape, since comparing it with each counted one would cost more than the rest of the count.
    """
    counted = _one_more(status)
    first = insert(users).values(id=USER_ID, seq=1, **{status: 1})
    here = [] if not by_key else [users.c.id == guards.locked(key=by_key).c.id]
    numbered = (
        update(users).where(users.c.id == USER_ID, *here).values(**counted)
        if registered or by_key
        else first.on_conflict_do_update(index_elements=[users.c.id], set_=counted)
    )
    owner = numbered.returning(users.c.seq, func.clock_timestamp().label("at")).cte("owner")
    values = _new_task(status, owner)
    made = insert(tasks).from_select(list(values), select(*values.values())).cte("made")
    return Statement(select(values[tasks.c.completed_at], owner.c.at, owner.c.seq).add_cte(made))


@cache
def create_with_id(status: str, *, by_key: bool = False) -> Statement:
    """As `create`, for a user with a row: returns nothing if a task of theirs has the id.

    Whether one has it is known once the task is inserted, so the number is taken after that. The
    row was locked before, so the number is still the next one.
    """
    me = guards.locked(key=by_key, columns=[users.c.seq])
    owner = select((me.c.seq + 1).label("seq"), func.clock_timestamp().label("at")).cte("owner")
    values = _new_task(status, owner)
    made = (
        insert(tasks)
        .from_select(list(values), select(*values.values()))
        .on_conflict_do_nothing(index_elements=[tasks.c.user_id, tasks.c.id])
        .returning(tasks.c.completed_at, tasks.c.created_at, tasks.c.version)
        .cte("made")
    )
    counted = update(users).where(users.c.id == USER_ID, made.c.version.is_not(None)).values(**_one_more(status))
    return Statement(counted.returning(made.c.completed_at, made.c.created_at, made.c.version))


register = Statement(insert(users).values(id=USER_ID).on_conflict_do_nothing())
"""Give the user a row, unless they have one."""


def _one_more(status: str) -> dict[str, ColumnElement[int]]:
    return {"seq": users.c.seq + 1, status: users.c[status] + 1}


def _new_task(status: str, owner: CTE) -> dict[Column[Any], ColumnElement[Any]]:
    """Return the values of a new task. `owner` has its number and time."""
    written = (tasks.c.title, tasks.c.description, tasks.c.priority, tasks.c.links)
    return {
        tasks.c.id: TASK_ID,
        tasks.c.user_id: USER_ID,
        **{column: column_value(column) for column in written},
        tasks.c.status: literal(status, Text),
        tasks.c.completed_at: owner.c.at if status == "completed" else null(),
        tasks.c.created_at: owner.c.at,
        tasks.c.updated_at: owner.c.at,
        tasks.c.version: owner.c.seq,
    }


def _locked(by_key: bool, *conditions: ColumnElement[bool]) -> CTE:
    task = select(tasks.c.status, tasks.c.completed_at).where(MINE, *conditions)
    if by_key:
        me = guards.locked(key=True)
        return task.where(tasks.c.user_id == me.c.id).with_for_update(key_share=True, of=tasks).cte("task")
    # One lock of both rows, in this order, costs less than two.
    return task.where(users.c.id == USER_ID).with_for_update(key_share=True, of=[users, tasks]).cte("task")


def _write(
    task: CTE, target: ColumnElement[str] | None, values: dict[str, Any], among: Sequence[str] = STATUSES
) -> Statement:
    """Take the user's next number and change the task.

    With `target`, also change its status to one of `among`, and the user's counts.
    """
    counts: dict[str, ColumnElement[int]] = {}
    if target is not None:
        counts = {status: users.c[status] - _number(task.c.status == status) for status in STATUSES}
        counts |= {status: counts[status] + _number(target == status) for status in among}
    owner = (
        update(users)
        .where(users.c.id == USER_ID, task.c.status.is_not(None))
        .values(seq=users.c.seq + 1, **counts)
        .returning(users.c.seq, func.clock_timestamp().label("at"))
        .cte("owner")
    )
    values = {**values, "updated_at": owner.c.at, "version": owner.c.seq}
    if target is not None:
        completed_at = case((target == "completed", func.coalesce(task.c.completed_at, owner.c.at)), else_=null())
        values |= {"status": target, "completed_at": completed_at}
    return Statement(update(tasks).where(MINE).values(**values).returning(*TASK_COLUMNS))


@cache
def change(fields: frozenset[str], conditional: bool, by_key: bool = False) -> Statement:
    """Set `fields`. A status changes only from one of `sources`; conditional: only at `versions`.

    The field `completed` reopens a completed task. `kept` sets those of KEPT that are `named`: one
    shape for all of them, since each of its own would double the number of shapes.
    """
    conditions = [_at_version()] if conditional else []
    if "status" in fields:
        conditions.append(_from_source())
    task = _locked(by_key, *conditions)
    target: ColumnElement[str] | None = STATUS if "status" in fields else None
    if "completed" in fields:
        target = case((task.c.status == "completed", literal_column("'pending'")), else_=task.c.status)
    values = {name: column_value(tasks.c[name]) for name in fields - {"status", "completed", "kept"}}
    if "kept" in fields:
        values |= {name: _if_named(tasks.c[name]) for name in KEPT}
    return _write(task, target, values)


def _if_named(column: Column[Any]) -> ColumnElement[Any]:
    """Return the parameter of the column if it is one of `named`, else what it has."""
    is_named = literal_column(f"'{column.name}'") == any_(param("named", ARRAY(Text)))
    return case((is_named, column_value(column)), else_=column)


@cache
def complete(toggle: bool, conditional: bool, by_key: bool = False) -> Statement:
    """Change the status to `status` from one of `sources`, or toggle completed and pending."""
    conditions = [_at_version()] if conditional else []
    task = _locked(by_key, _from_source(), *conditions)
    if not toggle:
        return _write(task, STATUS, {})
    target = case((task.c.status == "completed", literal_column("'pending'")), else_=literal_column("'completed'"))
    return _write(task, target, {}, ("pending", "completed"))


@cache
def remove(conditional: bool, by_key: bool = False) -> Statement:
    """Delete the task; returns a row if it existed."""
    conditions = [_at_version()] if conditional else []
    me = guards.locked(key=by_key)
    gone = delete(tasks).where(MINE, tasks.c.user_id == me.c.id, *conditions).returning(tasks.c.status).cte("gone")
    counts = {status: users.c[status] - _number(gone.c.status == status) for status in STATUSES}
    return Statement(
        update(users)
        .where(users.c.id == USER_ID, gone.c.status.is_not(None))
        .values(seq=users.c.seq + 1, **counts)
        .returning(users.c.seq)
    )


@cache
def page(
    sort: str, statuses: tuple[str, ...] | None, words: bool, cursor: bool, most_octets: int | None = None
) -> Statement:
    """Read a page; returns (epoch, seq, total, *task) per task.

    An empty page is one row with null for the task; an unknown user has no row. With `most_octets`
    the page ends with the first task whose texts, added to those before it, exceed it.

    `total` comes from the user's counts; only a search counts. If the user's `epoch-seq` is one of
    `known`, no task is read and the total is null.

    The page merges one ordered, limited index scan per status, so it reads no task of another
    status, whatever the planner estimates.
    """
    key, descending = tasks.c[sort.lstrip("-")], sort.startswith("-")
    wanted = STATUSES if statuses is None else statuses
    source: FromClause = _found(wanted) if words else tasks
    filters = [] if words else [tasks.c.user_id == USER_ID]
    owner = _owner(select(func.count()).select_from(source).scalar_subquery() if words else _counted(wanted))
    if cursor:
        kind = key.type.data_type if isinstance(key.type, DOMAIN) else key.type
        position = tuple_(param("after_key", kind), param("after_id", Uuid))
        row = tuple_(source.c[key.name], source.c.id)
        filters.append(row < position if descending else row > position)
    # The default order has an index over all statuses; the result of a search has none.
    is_one = words or not wanted or (statuses is None and key is tasks.c.created_at)
    if not wanted:
        filters.append(false())
    scans = [
        select(*(source.c[column.name] for column in TASK_COLUMNS))
        .where(*filters, *_of_status(source, status), owner.c.is_unknown)
        .order_by(*_order(source, key, descending))
        .limit(LIMIT + SKIP)
        .correlate(owner)
        .subquery()
        for status in ((None,) if is_one else wanted)
    ]
    found = union_all(*(select(*scan.c) for scan in scans)).subquery("found")
    ordered = select(*found.c).order_by(*_order(found, key, descending)).limit(LIMIT).offset(SKIP)
    items = (ordered if most_octets is None else _within(ordered, key, descending, most_octets)).lateral("item")
    rows = select(owner.c.epoch, owner.c.seq, owner.c.total, *items.c).select_from(owner.outerjoin(items, true()))
    return Statement(rows.order_by(*_order(items, key, descending)), seconds=SEARCH_SECONDS if words else None)


def _owner(total: ColumnElement[int]) -> CTE:
    """Return the user's epoch and number, whether the client lacks `epoch-seq`, and the total.

    It is materialized: PostgreSQL would evaluate it for each row of the page.
    """
    number = cast(users.c.epoch, Text) + "-" + cast(users.c.seq, Text)
    is_unknown = number != all_(param("known", ARRAY(Text)))
    columns = (users.c.epoch, users.c.seq, is_unknown.label("is_unknown"), case((is_unknown, total)).label("total"))
    return select(*columns).where(users.c.id == USER_ID).cte("owner").prefix_with("MATERIALIZED")


def _counted(statuses: Sequence[str]) -> ColumnElement[int]:
    return reduce(add, (users.c[status] for status in statuses), literal_column("0"))


def _of_status(rows: FromClause, status: str | None) -> list[ColumnElement[bool]]:
    return [] if status is None else [rows.c.status == literal_column(f"'{status}'")]


def _found(statuses: Sequence[str]) -> CTE:
    """Return tasks of these statuses that contain all `words`. Read once for page and total.

    Texts are case-folded when written. `fold_case` folds ASCII ones, and those that no migration
    has folded yet.
    """
    title = func.coalesce(tasks.c.title_folded, func.fold_case(tasks.c.title))
    description = func.coalesce(tasks.c.description_folded, func.fold_case(tasks.c.description), "")
    word = func.unnest(param("words", ARRAY(Text))).column_valued("word")
    patterns = func.array(select("%" + func.fold_case(word) + "%").scalar_subquery(), type_=ARRAY(Text))
    has_all = collate(title + "\n" + description, "C").like(func.all(patterns))
    known_status = or_(false(), *(_of_status(tasks, status)[0] for status in statuses))
    return select(*TASK_COLUMNS).where(tasks.c.user_id == USER_ID, known_status, has_all).cte("found_tasks")


def _octets_before(rows: FromClause, order: list[ColumnElement[Any]]) -> ColumnElement[int]:
    """Return the size of the texts of all earlier tasks.

    PostgreSQL knows it without reading them.
    """
    octets = func.octet_length(rows.c.title) + reduce(
        add, (func.coalesce(func.octet_length(rows.c[name]), 0) for name in ("description", "links"))
    )
    return func.coalesce(func.sum(octets).over(order_by=order, rows=(None, -1)), 0).label("octets_before")


def _within(ordered: Select[Any], key: Column[Any], descending: bool, most_octets: int) -> Select[Any]:
    """Return the tasks before which the texts have at most `most_octets` bytes."""
    tasks_of_page = ordered.subquery("page")
    before = _octets_before(tasks_of_page, _order(tasks_of_page, key, descending))
    summed = select(*tasks_of_page.c, before).subquery("summed")
    return select(*(summed.c[column.name] for column in TASK_COLUMNS)).where(summed.c.octets_before <= most_octets)


def _order(rows: FromClause, key: Column[Any], descending: bool) -> list[ColumnElement[Any]]:
    columns = (rows.c[key.name], rows.c.id)
    return [column.desc() for column in columns] if descending else [*columns]


def _batch() -> Statement:
    batch = (
        select(*TASK_COLUMNS)
        .where(tasks.c.user_id == USER_ID, tasks.c.id > param("after", Uuid))
        .order_by(tasks.c.id)
        .limit(BATCH)
        .subquery("batch")
    )
    summed = select(*batch.c, _octets_before(batch, [batch.c.id])).subquery("summed")
    columns = [summed.c[column.name] for column in TASK_COLUMNS]
    return Statement(select(*columns).where(summed.c.octets_before <= BATCH_OCTETS).order_by(summed.c.id))


batch = _batch()
"""Read the next tasks by id after the given one."""
