"""Lists of long tasks: a page ends before `limit` where it would pass 2 MiB, and the walk meets every task once all the same."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from tests.support.client import Client, Reply
from tests.support.credentials import token
from tests.support.on_loop import on_loop
from tests.support.rows import rows
from todo_api.database.database import Database
from todo_api.lists import MAX_PAGE, CursorSigner, Place, TaskFilter
from todo_api.schemas import dump_json
from todo_api.tasks.handlers import _dumped as cut
from todo_api.tasks.service import MAX_TASK, TaskService

TASKS = "/api/v1/me/tasks"
COUNT = 700
LONGEST = "😀" * 255
"""As many characters of four octets as a title or a user's id can have."""

DESCRIPTIONS = {
    "plain": "repeat('x', 5000)",
    "quotes": "repeat('\"', 5000)",
    "emoji": "repeat('😀', 5000)",
    "mixed": "repeat('x', (n * 7919) % 5001)",
}
"""What the tasks of a user have for a description. JSON writes a quote with two octets."""

QUERIES = (
    *(f"sort={sort}" for sort in ("created_at", "-created_at", "updated_at", "title", "due", "-due")),
    *("skip=100", "status=pending,cancelled", "completed=false", "q=task", "q=task&status=pending&sort=title"),
)

FILL = """
    WITH owner AS (
        INSERT INTO users (id, seq, pending, cancelled) VALUES ('{user}', {count}, {count} / 2, {count} / 2) RETURNING id)
    INSERT INTO tasks (user_id, id, title, description, status, created_at, updated_at, version, due_date, due_at)
    SELECT owner.id, gen_random_uuid(), 'Task ' || n, {description},
        CASE WHEN n % 2 = 0 THEN 'pending' ELSE 'cancelled' END, now() + n % 97 * interval '1 s', now(), n, due,
        (due + 1) AT TIME ZONE 'UTC'
    FROM owner, generate_series(1, {count}) n, LATERAL (SELECT CASE WHEN n % 3 > 0 THEN DATE '2026-11-20' + n END) d (due)
    RETURNING 1
"""


def fill(url: str, user: str, description: str) -> None:
    rows(url, FILL.format(user=user, count=COUNT, description=description))


@pytest.fixture(scope="module")
def heavy(url: str, anonymous: Client) -> Callable[[str], Client]:
    """Clients of users with COUNT tasks that are all of one kind of DESCRIPTIONS."""
    for kind, description in DESCRIPTIONS.items():
        fill(url, kind, description)
    return lambda kind: anonymous.signed_in(token(kind))


def walk(client: Client, query: str) -> Iterator[Reply]:
    reply = client.get(f"{TASKS}?{query}")
    yield reply
    while "link" in reply.headers:
        reply = client.get(reply.headers["link"].removeprefix("<").removesuffix('>; rel="next"'))
        yield reply


def ids(client: Client, query: str) -> list[str]:
    """All that the list holds, in pages too small to be cut."""
    return [task["id"] for reply in walk(client, f"{query}&limit=50") for task in reply.json()["items"]]


@pytest.mark.parametrize("query", QUERIES)
def test_list_tasks_of_many_octets_walked_by_link_meets_each_once_in_order(
    heavy: Callable[[str], Client], query: str
) -> None:
    client = heavy("quotes")
    pages = list(walk(client, f"{query}&limit=1000"))
    met = [task["id"] for page in pages for task in page.json()["items"]]
    assert met == ids(client, query)
    assert len(met) == len(set(met)) == pages[0].json()["total"] - (100 if "skip" in query else 0)
    assert len(pages) > 1


@pytest.mark.parametrize("kind", DESCRIPTIONS)
def test_list_tasks_of_many_octets_has_pages_as_full_as_they_may_be(heavy: Callable[[str], Client], kind: str) -> None:
    client = heavy(kind)
    *full, last = walk(client, "limit=1000")
    assert [len(page.body) for page in full if not MAX_PAGE - MAX_TASK - 2048 < len(page.body) <= MAX_PAGE] == []
    assert len(last.body) <= MAX_PAGE
    assert [page.json()["next_cursor"] is None for page in [*full, last]] == [False] * len(full) + [True]
    assert {page.json()["total"] for page in [*full, last]} == {COUNT}


@pytest.mark.parametrize("limit", [1, 50, MAX_PAGE // MAX_TASK, MAX_PAGE // MAX_TASK + 1])
def test_list_tasks_of_many_octets_with_a_small_limit_has_as_many(heavy: Callable[[str], Client], limit: int) -> None:
    reply = heavy("emoji").get(f"{TASKS}?limit={limit}")
    assert (len(reply.json()["items"]), len(reply.body) <= MAX_PAGE) == (limit, True)
    assert "link" in reply.headers


def test_list_tasks_of_many_octets_whose_last_page_is_just_full_has_no_next(
    url: str, heavy: Callable[[str], Client], anonymous: Client
) -> None:
    """Where the tasks end with the page, there is none after it."""
    count = len(heavy("plain").get(f"{TASKS}?limit=1000").json()["items"])
    rows(url, FILL.format(user="count", count=count, description=DESCRIPTIONS["plain"]))
    reply = anonymous.signed_in(token("count")).get(f"{TASKS}?limit=1000")
    assert (len(reply.json()["items"]), reply.json()["next_cursor"], "link" in reply.headers) == (count, None, False)


def test_longest_task_has_fewer_octets_than_a_limit_is_judged_by(url: str, anonymous: Client) -> None:
    fill(url, LONGEST, DESCRIPTIONS["emoji"])
    link = {"url": f"https://a/{'x' * 2038}", "title": "😀" * 200}
    links = json.dumps([link] * 20, separators=(",", ":"), ensure_ascii=False)
    rows(url, f"UPDATE tasks SET title = '{LONGEST}', links = '{links}' WHERE user_id = '{LONGEST}' RETURNING 1")
    reply = anonymous.signed_in(token(LONGEST)).get(f"{TASKS}?limit=1")
    assert len(json.dumps(reply.json()["items"][0], ensure_ascii=False).encode()) <= MAX_TASK


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    with closing(Database(url, pool_size=1)) as database:
        yield database


@pytest.mark.parametrize("wanted", [TaskFilter(), TaskFilter(words="task"), TaskFilter(sort="title")])
@on_loop
def test_list_tasks_of_many_octets_reads_little_more_than_a_page(
    heavy: Callable[[str], Client], database: Database, wanted: TaskFilter
) -> None:
    """What PostgreSQL sends is in the memory of the worker before a page is cut."""
    heavy("plain")
    page = TaskService(database, "plain").list(wanted, Place(1000), CursorSigner(b"secret"))
    assert page.tasks is not None
    assert MAX_PAGE < sum(_octets(task) for task in page.tasks) < MAX_PAGE + MAX_TASK


def _octets(task: Any) -> int:
    return len(task.title.encode()) + len((task.description or "").encode())


def test_page_has_as_many_items_as_its_octets_hold() -> None:
    items = [{"title": "x" * size} for size in (1, 7, 2, 5)]
    sizes = [len(dump_json(items[:count])) for count in range(1, 5)]
    for octets in range(sizes[0], sizes[-1] + 2):
        fitting = sum(size <= octets for size in sizes)
        assert cut(items, octets) == (dump_json(items[:fitting]), fitting), octets
    assert cut(items, sizes[0] - 1) == (dump_json(items[:1]), 1)
