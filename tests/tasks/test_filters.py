"""Filters and sorts of lists after 1.1: priority and the time of the last change."""

from itertools import product
from typing import Any
from urllib.parse import quote

import pytest

from tests.support.client import Client
from tests.support.credentials import token
from tests.support.tasks import create, path

TASKS = "/api/v1/me/tasks"
PRIORITIES = ["none", "low", "medium", "high", "urgent"]


@pytest.fixture(scope="module")
def ranked(anonymous: Client) -> list[dict[str, Any]]:
    """The tasks of a user, by id: of each priority two are pending, one with a due date, and one is completed. Only to be read."""
    client = anonymous.signed_in(token("ranked"))
    kinds = product(
        ({"status": "pending", "due": {"date": "2026-12-01"}}, {"status": "pending"}, {"status": "completed"}),
        PRIORITIES,
    )
    made = [create(client, f"{kind['status']} {priority}", priority=priority, **kind) for kind, priority in kinds]
    return sorted(made, key=lambda task: task["id"])


@pytest.fixture(scope="module")
def reader(anonymous: Client, ranked: list[dict[str, Any]]) -> Client:
    return anonymous.signed_in(token("ranked"))


def rank(task: dict[str, Any]) -> int:
    return PRIORITIES.index(task["priority"])


def walked(client: Client, query: str, limit: int) -> list[dict[str, Any]]:
    """All tasks of a list, read in pages by cursor; each page tells the number of all."""
    pages = [client.get(f"{TASKS}?{query}&limit={limit}").json()]
    while pages[-1]["next_cursor"]:
        pages.append(client.get(f"{TASKS}?{query}&limit={limit}&cursor={pages[-1]['next_cursor']}").json())
    tasks = [task for page in pages for task in page["items"]]
    assert [page["total"] for page in pages] == [len(tasks)] * len(pages)
    return tasks


@pytest.mark.parametrize("limit", [1, 4, 1000])
@pytest.mark.parametrize(
    "filters", ["", "status=pending", "priority=low,urgent", "q=ING", "status=completed,pending&priority=none,high"]
)
@pytest.mark.parametrize("sort", ["priority", "-priority"])
def test_list_tasks_by_priority_is_ordered_by_rank_then_id(
    reader: Client, ranked: list[dict[str, Any]], sort: str, filters: str, limit: int
) -> None:
    known = dict(part.split("=") for part in filters.split("&") if part)
    expected = [
        task
        for task in sorted(ranked, key=rank)
        if task["status"] in known.get("status", task["status"])
        and task["priority"] in known.get("priority", task["priority"]).split(",")
        and known.get("q", "").lower() in task["title"]
    ]
    assert walked(reader, f"{filters}&sort={sort}", limit) == (expected[::-1] if sort == "-priority" else expected)


@pytest.mark.parametrize("sent", ["priority=urgent,low", "priority=low,urgent,low", "priority=low&priority=urgent"])
@pytest.mark.parametrize("sort", ["-created_at", "title"])
def test_list_tasks_of_priorities_gives_and_counts_those(
    reader: Client, ranked: list[dict[str, Any]], sent: str, sort: str
) -> None:
    expected = {task["id"] for task in ranked if task["priority"] in ("low", "urgent")}
    page = reader.get(f"{TASKS}?{sent}&sort={sort}").json()
    assert ({task["id"] for task in page["items"]}, page["total"]) == (expected, len(expected))


@pytest.mark.parametrize("sent", ["priority=", "priority=Urgent", "priority=4", "priority=low,", "sort=priorities"])
def test_list_tasks_of_what_is_no_priority_is_refused(reader: Client, sent: str) -> None:
    reply = reader.get(f"{TASKS}?{sent}")
    assert (reply.status, reply.code) == (400, "validation_failed")


def test_list_tasks_updated_since_has_what_was_written_then_or_later(ada: Client) -> None:
    first, second, third = (create(ada, title) for title in ("first", "second", "third"))
    changed = ada.patch(path(first), {"title": "changed"}).json()

    def since(time: str) -> set[str]:
        page = ada.get(f"{TASKS}?updated_since={quote(time)}").json()
        assert page["total"] == len(page["items"])
        return {task["title"] for task in page["items"]}

    assert since(first["updated_at"]) == {"changed", "second", "third"}
    assert since(third["updated_at"]) == {"changed", "third"}
    assert since(changed["updated_at"].replace("Z", "9Z")) == {"changed"}
    assert since(changed["updated_at"].replace("Z", "+00:01")) == {"changed", "second", "third"}
    assert since("9999-12-31T23:59:59Z") == set()
    assert second["version"] == 2


@pytest.mark.parametrize(
    "time", ["2026-11-20", "2026-11-20T09:30:00", "2026-11-20T24:00:00Z", "now", "1", "0000-01-01T00:00:00Z", ""]
)
def test_list_tasks_updated_since_no_time_is_refused(ada: Client, time: str) -> None:
    reply = ada.get(f"{TASKS}?updated_since={time}")
    assert (reply.status, reply.code) == (400, "validation_failed")
    assert [error["pointer"] for error in reply.json()["errors"]] == ["/updated_since"]


def test_list_tasks_with_further_filters_links_to_the_same_list(reader: Client) -> None:
    query = "priority=low%2Curgent&updated_since=2026-01-01T00%3A00%3A00%2B01%3A00&sort=-priority&limit=2"
    first = reader.get(f"{TASKS}?{query}")
    second = reader.get(first.headers["link"].partition("<")[2].partition(">")[0])
    assert second.status == 200
    whole = reader.get(f"{TASKS}?{query.replace('limit=2', 'limit=4')}").json()
    assert [*first.json()["items"], *second.json()["items"]] == whole["items"]
    assert second.json()["total"] == whole["total"] == 6


@pytest.mark.parametrize(
    "other",
    [
        "sort=priority",
        "sort=priority&priority=low",
        "sort=-priority&priority=low,high",
        "sort=priority&updated_since=2026-01-01T00:00:00Z",
    ],
)
def test_list_tasks_with_cursor_of_another_filter_is_refused(reader: Client, other: str) -> None:
    cursor = reader.get(f"{TASKS}?sort=priority&priority=low,high&limit=2").json()["next_cursor"]
    assert reader.get(f"{TASKS}?{other}&cursor={cursor}").code == "invalid_cursor"


def test_list_tasks_with_unchanged_tag_and_filter_is_not_modified(ada: Client) -> None:
    create(ada, priority="high")
    address = f"{TASKS}?priority=high&sort=-priority"
    tag = ada.get(address).headers["etag"]
    assert ada.get(address, headers={"If-None-Match": tag}).status == 304
    create(ada)
    assert ada.get(address, headers={"If-None-Match": tag}).status == 200
