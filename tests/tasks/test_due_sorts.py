"""Lists sorted by deadline: the order, and walks by cursor."""

from datetime import datetime
from itertools import product
from typing import Any

import pytest

from tests.support.client import Client
from tests.support.credentials import token
from tests.support.tasks import create

TASKS = "/api/v1/me/tasks"
PRIORITIES = ["none", "low", "medium", "high", "urgent"]
DUE = [None, "2026-11-20", "2026-11-21"]


@pytest.fixture(scope="module")
def made(anonymous: Client) -> list[dict[str, Any]]:
    """The tasks of a user, by id: two of each deadline, none and two of them, and of three priorities, in two statuses."""
    client = anonymous.signed_in(token("planner"))
    kinds = product(("pending", "completed"), DUE, ("high", "none", "urgent"), (1, 2))
    tasks = [
        create(client, f"{status} {number}", status=status, priority=priority, due=date and {"date": date})
        for status, date, priority, number in kinds
    ]
    return sorted(tasks, key=lambda task: task["id"])


@pytest.fixture(scope="module")
def planner(anonymous: Client, made: list[dict[str, Any]]) -> Client:
    return anonymous.signed_in(token("planner"))


def day(task: dict[str, Any]) -> int:
    return datetime.fromisoformat(task["due"]["date"]).toordinal()


@pytest.mark.parametrize("limit", [1, 5, 1000])
@pytest.mark.parametrize("filters", ["", "status=pending", "q=1", "priority=urgent,none", "due=any", "due=none"])
@pytest.mark.parametrize("sort", ["due", "-due"])
def test_list_tasks_by_due_has_the_urgent_first_and_those_without_last(
    planner: Client, made: list[dict[str, Any]], sort: str, filters: str, limit: int
) -> None:
    known = dict(part.split("=") for part in filters.split("&") if part)
    expected = [
        task
        for task in (made[::-1] if sort == "-due" else made)
        if task["status"] in known.get("status", task["status"])
        and task["priority"] in known.get("priority", task["priority"]).split(",")
        and known.get("q", "") in task["title"]
        and (known.get("due") or ("any" if task["due"] else "none")) == ("any" if task["due"] else "none")
    ]
    expected.sort(key=lambda task: -PRIORITIES.index(task["priority"]))
    dated = sorted((task for task in expected if task["due"]), key=day)
    if sort == "-due":
        dated = sorted((task for task in expected if task["due"]), key=lambda task: -day(task))
    address = f"{TASKS}?{filters}&sort={sort}&limit={limit}"
    pages = [planner.get(address).json()]
    while pages[-1]["next_cursor"]:
        pages.append(planner.get(f"{address}&cursor={pages[-1]['next_cursor']}").json())
    walked = [task for page in pages for task in page["items"]]
    assert walked == [*dated, *(task for task in expected if not task["due"])]
    assert [page["total"] for page in pages] == [len(expected)] * len(pages)


def test_list_tasks_by_due_is_by_instants_not_by_what_is_written(ada: Client) -> None:
    create(ada, "later", due={"date": "2026-11-20", "time": "09:00", "time_zone": "America/Los_Angeles"})
    create(ada, "whole day", due={"date": "2026-11-20"})
    create(ada, "sooner", due={"date": "2026-11-20", "time": "12:00", "time_zone": "Asia/Tokyo"})
    create(ada, "floating", due={"date": "2026-11-20", "time": "12:00"})
    page = ada.get(f"{TASKS}?sort=due").json()
    assert [task["title"] for task in page["items"]] == ["sooner", "floating", "later", "whole day"]


def test_list_tasks_by_due_with_skip_goes_on_where_the_page_ends(planner: Client) -> None:
    whole = planner.get(f"{TASKS}?sort=due").json()["items"]
    page = planner.get(f"{TASKS}?sort=due&skip=22&limit=4").json()
    rest = planner.get(f"{TASKS}?sort=due&limit=100&cursor={page['next_cursor']}").json()
    assert [*page["items"], *rest["items"]] == whole[22:]


@pytest.mark.parametrize("query", ["due=today", "due=overdue&sort=due", "due_from=2026-11-20&sort=-due"])
def test_list_tasks_by_dates_of_a_user_without_a_row_is_empty(anonymous: Client, query: str) -> None:
    reply = anonymous.signed_in(token("without-a-row")).get(f"{TASKS}?{query}")
    assert (reply.status, reply.json()["items"], reply.json()["total"]) == (200, [], 0)
