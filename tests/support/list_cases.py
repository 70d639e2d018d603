"""Cases of `wall_cases`: users list their tasks by what came after 1.1, at a moment of the case's own."""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pytest

from tests.support.look_alikes import LATER, Ask
from todo_api.lists import clock as lists_clock
from todo_api.lists.filters import OPEN
from todo_api.tasks.list_statements import page

TASKS = "/api/v1/me/tasks"
NOW = "2026-11-20T12:00:00Z"

BY_DATES = {
    "due_any": "due=any",
    "due_none": "due=none",
    "due_on_days": "due=today",
    "due_overdue": "due=overdue",
    "startable": "startable=true",
    "not_startable": "startable=false",
}
"""By condition a filter, which some tasks of each user meet at that moment."""

_OTHERS = ("due_from=2026-11-01&due_to=2199-12-31", "priority=none,high", "updated_since=2026-01-01T00:00:00Z")
_SORTS = ("created_at", "due", "-due")


def shapes_by_dates() -> Iterator[tuple[str, Any]]:
    """Return every statement of these lists: a later page, and one with its zone named, is read without looking at the user's."""
    for name in BY_DATES:
        statuses = OPEN if name in ("due_overdue", "startable", "not_startable") else None
        looks = [False] if name in ("due_any", "due_none") else [False, True]
        for sort in _SORTS:
            for cursor, in_zone in [(True, False), *((False, look) for look in looks)]:
                arguments = (sort, statuses, (name,), cursor)
                yield f"page {arguments} {in_zone}", page(*arguments, in_zone=in_zone)


def list_by_later_filters(ask: Ask, mine: Any) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lists_clock, "time", datetime.fromisoformat(NOW).timestamp)
        for filters in (*BY_DATES.values(), *_OTHERS):
            for sort in _SORTS:
                query = f"{TASKS}?{filters}&sort={sort}&limit=1"
                for who in ("account", "operator"):
                    first = ask(who, "GET", query)
                    assert first.json()["items"]
                    if first.json()["next_cursor"]:
                        ask(who, "GET", f"{query}&cursor={first.json()['next_cursor']}")
                ask("account", "GET", f"{query}&time_zone=Asia/Tokyo")


def list_by_due_to_what_has_none(ask: Ask, mine: Any) -> None:
    """A page ends among the tasks without a deadline, so it matters how many with one come before them."""
    for sort in ("due", "-due"):
        for statuses in ("", "&status=in_progress,completed"):
            query = f"{TASKS}?sort={sort}{statuses}"
            every = ask("account", "GET", f"{query}&limit=50").json()["items"]
            limit = 1 + sum(task["due"] is not None for task in every)
            cursor = ask("account", "GET", f"{query}&limit=1").json()["next_cursor"]
            for place in ("", "&skip=1", f"&cursor={cursor}"):
                page = ask("account", "GET", f"{query}&limit={limit}{place}").json()
                assert {task["due"] is None for task in page["items"]} == {False, True}


CASES: dict[str, Callable[[Ask, Any], None]] = {
    case.__name__: case for case in (list_by_later_filters, list_by_due_to_what_has_none)
}

DATED = (
    "UPDATE tasks SET (due_date, due_at, start_date, start_at) = (SELECT due, due_at, start, start_at FROM (VALUES"
    " ('pending', DATE '2026-11-18', TIMESTAMPTZ '2026-11-19T00:00Z', DATE '2026-11-18', TIMESTAMPTZ '2026-11-18T00:00Z'),"
    " ('in_progress', '2026-11-20', '2026-11-21T00:00Z', '2026-11-24', '2026-11-24T00:00Z'))"
    " AS dates (status, due, due_at, start, start_at) WHERE dates.status = tasks.status);"
    f" UPDATE tasks SET due_date = due_date + 1, start_date = start_date + 1 WHERE user_id LIKE '{LATER}%';"
    " UPDATE tasks SET dates = json_build_array(due_date, due_time, due_zone, start_date, start_time, start_zone)::text"
    " WHERE due_date IS NOT NULL OR start_date IS NOT NULL"
)
"""Pending tasks are overdue, those in progress are due today, and start later. Some others have theirs a day later."""

PREPARED = dict.fromkeys([*CASES, "move_to_another_zone"], DATED)
"""SQL to run before a case, by its name."""
