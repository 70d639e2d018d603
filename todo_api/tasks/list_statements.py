"""SQL of lists and exports of tasks. `statements` has that of single tasks."""

from collections.abc import Sequence
from functools import cache, reduce
from operator import add
from typing import Any

from sqlalchemy import (
    CTE,
    Column,
    ColumnElement,
    FromClause,
    Integer,
    Select,
    Text,
    Uuid,
    all_,
    case,
    cast,
    collate,
    false,
    func,
    literal_column,
    or_,
    select,
    true,
    tuple_,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY, DOMAIN

from todo_api.database import Statement, param
from todo_api.models import STATUSES, tasks, users
from todo_api.tasks.statements import TASK_COLUMNS, USER_ID, as_task

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
    rows = select(owner.c.epoch, owner.c.seq, owner.c.total, *as_task(items)).select_from(
        owner.outerjoin(items, true())
    )
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
    return Statement(select(*as_task(summed)).where(summed.c.octets_before <= BATCH_OCTETS).order_by(summed.c.id))


batch = _batch()
"""Read the next tasks by id after the given one."""
