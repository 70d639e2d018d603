"""How much of a page is left for what comes last in an order."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Text, false, func, select, union_all

from todo_api.database import param
from todo_api.lists.conditions import is_status
from todo_api.lists.sorts import Sort
from todo_api.models import tasks, users

_USER_ID = param("user_id", Text)


def limit_of_rest(
    order: Sort, statuses: Sequence[str], most: ColumnElement[Any], is_unknown: ColumnElement[bool], *, after: bool
) -> list[ColumnElement[int]]:
    """Return how many tasks are read at most of those that come last; nothing if none do.

    Those before them are counted in the order of their index, or the planner may read the whole
    table for them. None is counted if the client knows the list.
    """
    first = order.first(tasks, after=after)
    if not first:
        return []
    ordered = next(order.branches(tasks, after=after)).order
    scans = [
        select(tasks.c.id)
        .where(tasks.c.user_id == _USER_ID, of_status, *first, is_unknown)
        .order_by(*ordered)
        .limit(most)
        .correlate(users)
        .subquery()
        for of_status in [is_status(status) for status in statuses] or [false()]
    ]
    found = union_all(*(select(scan.c.id) for scan in scans)).subquery()
    count = select(func.count()).select_from(found).correlate(users).scalar_subquery()
    return [func.greatest(most - count, 0)]
