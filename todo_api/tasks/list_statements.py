"""SQL of lists and exports of tasks. `statements` has that of single tasks."""

from collections.abc import Sequence
from functools import cache, reduce
from operator import add
from typing import Any

from sqlalchemy import (
    CTE,
    ColumnElement,
    FromClause,
    Integer,
    Select,
    Subquery,
    Text,
    Uuid,
    and_,
    case,
    false,
    func,
    literal_column,
    select,
    true,
    union_all,
)

from todo_api import guards
from todo_api.database import Statement, param
from todo_api.lists import SEARCH_SETTINGS, SORTS, Sort, found_tasks, is_status, limit_of_rest
from todo_api.local_time import DEFAULT_ZONE
from todo_api.models import STATUSES, tasks, users
from todo_api.task_rows import TASK_COLUMNS, as_task
from todo_api.tasks.statements import USER_ID

SEARCH_SECONDS = 1
"""Maximum seconds of a search. It reads every task of the user, and others wait meanwhile."""

BATCH = 500
"""Maximum number of tasks that an export reads at a time."""

BATCH_OCTETS = 256 * 1024
"""Bytes of text after which a batch of an export ends."""

LIMIT = param("limit", Integer)
SKIP = param("skip", Integer)


@cache
def page(
    sort: str,
    statuses: tuple[str, ...] | None,
    conditions: tuple[str, ...] = (),
    cursor: bool = False,
    most_octets: int | None = None,
    *,
    in_zone: bool = False,
) -> Statement:
    """Read a page; returns (*task, state) per task. The state is the text `epoch seq total`.

    A list by deadlines has `due_at` before the state. With `in_zone`, the state is
    `epoch seq zone total`, and no task is read unless that is the `zone` of the parameters.

    An empty page is one row with null for the task; an unknown user has no row. With `most_octets`
    the page ends with the first task whose texts, added to those before it, exceed it.

    Without `conditions`, `total` comes from the user's counts. If the user's `epoch-seq` is one of
    `known`, no task is read and the state has no total.
    """
    order, wanted = SORTS[sort], STATUSES if statuses is None else statuses
    whole = most_octets is None
    if conditions:
        found = found_tasks(wanted, conditions, [tasks.c.id, *(tasks.c[name] for name in order.columns)])
        owner = _owner(select(func.count()).select_from(found).scalar_subquery(), in_zone=in_zone)
        read = _of_found(_columns(order, whole=whole), order, found, owner, cursor)
    else:
        owner = _owner(
            _counted(wanted), rest=limit_of_rest(order, wanted, LIMIT + SKIP, guards.is_unknown(), after=cursor)
        )
        # The default order has an index over all statuses.
        read = _of_branches(
            _columns(order, whole=whole), order, wanted, owner, cursor, is_one=statuses is None and order.is_by_creation
        )
    ordered = select(*read.c).order_by(*order.order(read)).limit(LIMIT).offset(SKIP if not conditions else None)
    items = (ordered if most_octets is None else _within(ordered, order, most_octets)).lateral("item")
    deadline = [items.c.due_at] if "due_at" in order.columns else []
    rows = select(*as_task(items), *deadline, owner.c.state).select_from(owner.outerjoin(items, true()))
    more: dict[str, Any] = {"seconds": SEARCH_SECONDS, "settings": SEARCH_SETTINGS} if "words" in conditions else {}
    return Statement(rows.order_by(*order.order(items)), times_as_text=True, **more)


def _columns(order: Sort, *, whole: bool) -> list[ColumnElement[Any]]:
    """Return the columns of a task, and those of the order that no task shows.

    A large page is measured before the texts of its tasks are put together: it is not `whole`.
    """
    columns = as_task(tasks) if whole else [*TASK_COLUMNS]
    shown = {column.name for column in columns}
    return [*columns, *(tasks.c[name] for name in order.columns if name not in shown)]


def _of_branches(
    columns: list[ColumnElement[Any]], order: Sort, statuses: Sequence[str], owner: CTE, cursor: bool, *, is_one: bool
) -> Subquery:
    """Return the tasks of a page: one ordered, limited index scan per status and branch.

    No task of another status is read, whatever the planner estimates.
    """
    scans = [
        select(*columns)
        .where(tasks.c.user_id == USER_ID, *of_status, *branch.conditions, owner.c.is_unknown)
        .order_by(*branch.order)
        .limit(owner.c.rest if branch.is_rest else LIMIT + SKIP)
        .correlate(owner)
        .subquery()
        for of_status in ([[]] if is_one else [[is_status(status)] for status in statuses] or [[false()]])
        for branch in order.branches(tasks, after=cursor)
    ]
    return union_all(*(select(*scan.c) for scan in scans)).subquery("found")


def _of_found(columns: list[ColumnElement[Any]], order: Sort, found: CTE, owner: CTE, cursor: bool) -> Subquery:
    """Return the tasks of a page: found by id, and read one by one by the primary key."""
    after = [order.after(found)] if cursor else []
    ids = (
        select(found.c.id)
        .where(owner.c.is_unknown, *after)
        .order_by(*order.order(found))
        .limit(LIMIT)
        .offset(SKIP)
        .correlate(owner)
        .subquery("place")
    )
    by_id = and_(tasks.c.user_id == USER_ID, tasks.c.id == ids.c.id)
    task = select(*columns).where(by_id).limit(1).lateral("task")
    return select(*task.c).select_from(ids.join(task, true())).subquery("found")


def _owner(total: ColumnElement[int], *, rest: Sequence[ColumnElement[int]] = (), in_zone: bool = False) -> CTE:
    """Return whether tasks are to be read, and the user's epoch, number and total as a text.

    They are read if the client lacks `epoch-seq`, and, `in_zone`, if the user is in the zone, which
    is in the text then.

    One text, since each row of the page repeats it, and three numbers take longer to read. It is
    materialized: PostgreSQL would evaluate it for each row of the page.
    """
    is_unknown = guards.is_unknown()
    zone: list[ColumnElement[str]] = []
    if in_zone:
        zone = [func.coalesce(users.c.time_zone, literal_column(f"'{DEFAULT_ZONE}'"))]
        is_unknown = and_(is_unknown, zone[0] == param("zone", Text))
    state = func.concat_ws(" ", users.c.epoch, users.c.seq, *zone, case((is_unknown, total)))
    return (
        select(is_unknown.label("is_unknown"), state.label("state"), *(limit.label("rest") for limit in rest))
        .where(users.c.id == USER_ID)
        .cte("owner")
        .prefix_with("MATERIALIZED")
    )


def _counted(statuses: Sequence[str]) -> ColumnElement[int]:
    return reduce(add, (users.c[status] for status in statuses), literal_column("0"))


def _octets_before(rows: FromClause, order: list[ColumnElement[Any]]) -> ColumnElement[int]:
    """Return the size of the texts of all earlier tasks.

    PostgreSQL knows it without reading them.
    """
    octets = func.octet_length(rows.c.title) + reduce(
        add, (func.coalesce(func.octet_length(rows.c[name]), 0) for name in ("description", "links", "labels"))
    )
    return func.coalesce(func.sum(octets).over(order_by=order, rows=(None, -1)), 0).label("octets_before")


def _within(ordered: Select[Any], order: Sort, most_octets: int) -> Select[Any]:
    """Return the tasks before which the texts have at most `most_octets` bytes."""
    tasks_of_page = ordered.subquery("page")
    before = _octets_before(tasks_of_page, order.order(tasks_of_page))
    summed = select(*tasks_of_page.c, before).subquery("summed")
    return select(*(summed.c[column.name] for column in _columns(order, whole=False))).where(
        summed.c.octets_before <= most_octets
    )


def _batch() -> Statement:
    batch = (
        select(*TASK_COLUMNS)
        .where(tasks.c.user_id == USER_ID, tasks.c.id > param("after", Uuid))
        .order_by(tasks.c.id)
        .limit(BATCH)
        .subquery("batch")
    )
    summed = select(*batch.c, _octets_before(batch, [batch.c.id])).subquery("summed")
    rows = select(*as_task(summed)).where(summed.c.octets_before <= BATCH_OCTETS).order_by(summed.c.id)
    return Statement(rows, times_as_text=True)


batch = _batch()
"""Read the next tasks by id after the given one."""
