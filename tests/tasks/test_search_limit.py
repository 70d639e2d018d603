"""A search has one second, whatever keeps it."""

from contextlib import closing

import psycopg2
import pytest

from tests.support.client import Client
from todo_api.tasks.list_statements import SEARCH_SECONDS

TASKS = "/api/v1/me/tasks"
LATE = "The database did not answer in time; nothing was changed."
LOCKED = "What the request needs is in use by others; nothing was changed."
"""What is said where a lock is waited for until its own limit, which is longer than a search's and shorter than all others'."""


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ("?q=milk", LATE),
        ("?q=milk&status=pending&sort=title&limit=1", LATE),
        ("", LOCKED),
        ("?status=pending", LOCKED),
    ],
)
def test_list_tasks_that_is_kept_ends_after_a_second_where_it_searches(
    ada: Client, direct: str, query: str, detail: str
) -> None:
    assert SEARCH_SECONDS == 1  # as the contract says of `unavailable`
    assert ada.post(TASKS, {"title": "Buy milk"}).status == 201
    assert ada.get(f"{TASKS}{query}").json()["total"] == 1
    with closing(psycopg2.connect(direct)) as database, database.cursor() as cursor:
        cursor.execute("LOCK TABLE tasks")
        reply = ada.get(f"{TASKS}{query}")
    assert (reply.status, reply.code, reply.json()["detail"]) == (503, "unavailable", detail)
    assert reply.headers["retry-after"] == "1"
    assert ada.get(f"{TASKS}{query}").json()["total"] == 1


def test_statement_after_a_search_has_its_own_time_again(ada: Client, direct: str) -> None:
    assert ada.get(f"{TASKS}?q=milk").status == 200
    with closing(psycopg2.connect(direct)) as database, database.cursor() as cursor:
        cursor.execute("LOCK TABLE tasks")
        assert ada.get(TASKS).json()["detail"] == LOCKED
