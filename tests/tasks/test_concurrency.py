"""Many at once, each request on a connection of its own: nothing is lost, doubled, skipped or seen out of order."""

import random
import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event
from typing import Any

import pytest

from tests.support.client import Client, Reply
from tests.support.credentials import PASSWORD, SECRET
from tests.support.databases import execute
from todo_api.config import Config

TASKS = "/api/v1/me/tasks"
MANY = 16
"""As many registrations as may wait for their turn at once."""
TOGETHER = 20
STATUSES = ("pending", "in_progress", "completed", "cancelled")


@pytest.fixture(scope="module")
def anonymous(url: str, new_client: Callable[[Config], Client]) -> Client:
    """A client of a service with many threads, and as many connections."""
    return new_client(
        Config(database_url=url, jwt_secret=SECRET, rate_limit="off", threads=TOGETHER, queue_limit=60_000)
    )


def at_once(calls: list[Callable[[], Reply]]) -> list[Reply]:
    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result() for future in [pool.submit(call) for call in calls]]


@contextmanager
def meanwhile(*writers: Callable[[], None]) -> Iterator[None]:
    """Runs each writer again and again while the block runs."""
    stop = Event()

    def again(write: Callable[[], None]) -> None:
        while not stop.is_set():
            write()

    with ThreadPoolExecutor(len(writers)) as pool:
        running = [pool.submit(again, write) for write in writers]
        try:
            yield
        finally:
            stop.set()
        for future in running:
            future.result()


def user_row(url: str, user_id: str, statement: str) -> list[tuple[Any, ...]]:
    return execute(url, f"BEGIN; SET LOCAL ROLE task_api_user; SET LOCAL app.user_id = '{user_id}'; {statement}")


@pytest.fixture
def task(ada: Client) -> dict[str, Any]:
    task: dict[str, Any] = ada.post(TASKS, {"title": "Contended"}).json()
    return task


def test_update_task_by_twenty_writers_with_one_if_match_lets_one_through(ada: Client, task: dict[str, Any]) -> None:
    path, condition = f"{TASKS}/{task['id']}", {"If-Match": '"1"'}
    replies = at_once(
        [lambda n=n: ada.patch(path, {"title": f"Writer {n}"}, headers=condition) for n in range(TOGETHER)]
    )
    assert Counter(reply.status for reply in replies) == {200: 1, 412: 19}
    (won,) = [reply.json() for reply in replies if reply.status == 200]
    assert ada.get(path).json() == won
    assert [reply.json()["current"] for reply in replies if reply.status == 412] == [won] * 19


def test_delete_task_by_twenty_writers_with_one_if_match_lets_one_through(ada: Client, task: dict[str, Any]) -> None:
    path, condition = f"{TASKS}/{task['id']}", {"If-Match": '"1"'}
    replies = at_once([lambda: ada.delete(path, headers=condition)] * TOGETHER)
    assert Counter(reply.status for reply in replies) == {204: 1, 404: 19}


def test_complete_task_toggled_fifty_times_at_once_counts_each(ada: Client, task: dict[str, Any]) -> None:
    path = f"{TASKS}/{task['id']}"
    replies = at_once([lambda: ada.patch(f"{path}/complete")] * 50)
    assert [reply.status for reply in replies] == [200] * 50
    by_version = sorted((reply.json() for reply in replies), key=lambda one: one["version"])
    assert [one["version"] for one in by_version] == list(range(2, 52))
    assert [one["status"] for one in by_version] == ["completed", "pending"] * 25
    assert ada.get(path).json() == by_version[-1]


def test_create_task_by_twenty_writers_as_the_users_first_numbers_each(ada: Client) -> None:
    replies = at_once([lambda: ada.post(TASKS, {"title": "First"})] * TOGETHER)
    assert sorted(reply.json()["version"] for reply in replies) == list(range(1, TOGETHER + 1))
    assert ada.get(TASKS).json()["total"] == TOGETHER


def test_list_tasks_while_others_create_shows_no_number_before_the_ones_below(ada: Client) -> None:
    def read() -> int:
        reply = ada.get(f"{TASKS}?limit=1000")
        page = reply.json()
        versions = sorted(one["version"] for one in page["items"])
        assert versions == list(range(1, len(versions) + 1))
        assert page["total"] == len(versions)
        assert reply.headers["etag"].endswith(f'-{len(versions)}"')
        return len(versions)

    def create() -> None:
        assert ada.post(TASKS, {"title": "Numbered"}).status == 201

    seen = [0]
    with ThreadPoolExecutor(4) as readers, meanwhile(*[create] * 6):
        while seen[-1] < 300:
            seen += [reader.result() for reader in [readers.submit(read) for _ in range(4)]]
    assert len(set(seen)) > 10  # the readers did look in between


def test_list_tasks_by_cursor_while_others_insert_and_delete_neither_skips_nor_repeats(url: str, ada: Client) -> None:
    first = ada.post(TASKS, {"title": "Stays"}).json()
    user_row(
        url,
        first["user_id"],
        "UPDATE users SET seq = 1000, pending = 1000;"
        f" INSERT INTO tasks SELECT '{first['user_id']}', gen_random_uuid(), 'Stays', NULL, 'pending', NULL,"
        " timestamptz '2026-01-01Z' + random() * interval '100 days', now(), i FROM generate_series(2, 1000) i; COMMIT",
    )
    stays = {str(one) for (one,) in user_row(url, first["user_id"], "SELECT id FROM tasks")}
    assert len(stays) == 1000

    def come_and_go() -> None:
        reply = ada.post(TASKS, {"title": random.choice("AZ") + "Comes and goes"})  # noqa: S311  # no secret
        assert ada.delete(f"{TASKS}/{reply.json()['id']}").status == 204

    for sort in ("-created_at", "title"):
        walked: list[str] = []
        cursor: str | None = ""
        with meanwhile(*[come_and_go] * 4):
            while cursor is not None:
                page = ada.get(f"{TASKS}?limit=20&sort={sort}" + (f"&cursor={cursor}" if cursor else "")).json()
                walked += [one["id"] for one in page["items"]]
                cursor = page["next_cursor"]
        times = Counter(walked)
        assert {times[one] for one in stays} == {1}
        assert max(times.values()) == 1


def test_register_account_of_one_email_many_times_at_once_gives_one(url: str, anonymous: Client) -> None:
    email = f"{secrets.token_hex(4)}@example.com"
    registration = {"email": email, "password": PASSWORD}

    def rows() -> list[tuple[Any, ...]]:
        """How many there are, which row-level security keeps even from the tables' owner; statistics do not say whose."""
        execute(url, "ANALYZE users, accounts")
        return execute(url, "SELECT reltuples FROM pg_class WHERE relname IN ('users', 'accounts') ORDER BY relname")

    anonymous.post("/api/v1/auth/register", {"email": f"other-{email}", "password": PASSWORD})
    (accounts,), (users,) = rows()
    replies = at_once([lambda: anonymous.post("/api/v1/auth/register", registration)] * MANY)
    assert Counter(reply.status for reply in replies) == {201: 1, 409: MANY - 1}
    assert {reply.code for reply in replies if reply.status == 409} == {"email_taken"}
    assert rows() == [(accounts + 1,), (users + 1,)]
    assert anonymous.post("/api/v1/auth/token", registration).status == 200


def test_writes_of_all_kinds_at_once_keep_the_counts_by_status(url: str, ada: Client) -> None:
    paths = [ada.post(TASKS, {"title": f"Task {n}"}).headers["location"] for n in range(12)]
    user_id = ada.get(paths[0]).json()["user_id"]
    chance = random.Random(5)  # noqa: S311  # no secret

    def calls(path: str) -> list[Callable[[], Reply]]:
        return [
            lambda: ada.post(TASKS, {"title": "More", "status": chance.choice(STATUSES)}),
            lambda: ada.put(path, {"title": "Replaced", "status": chance.choice(STATUSES)}),
            lambda: ada.patch(path, {"status": chance.choice(STATUSES)}),
            lambda: ada.patch(path, {"title": "Changed"}, headers={"If-Match": f'"{chance.randrange(60)}"'}),
            lambda: ada.patch(f"{path}/complete"),
            lambda: ada.patch(f"{path}/complete", {"completed": chance.random() < 0.5}),
        ]

    mix = [chance.choice(calls(chance.choice(paths))) for _ in range(600)]
    mix += [lambda path=path: ada.delete(path) for path in paths[:4] * 2]
    chance.shuffle(mix)
    with ThreadPoolExecutor(TOGETHER) as pool:
        replies = list(pool.map(lambda call: call(), mix))
    assert {reply.status for reply in replies} == {200, 201, 204, 404, 409, 412}
    counted = dict.fromkeys(STATUSES, 0)
    counted |= dict(user_row(url, user_id, "SELECT status, count(*) FROM tasks GROUP BY status"))
    kept = user_row(url, user_id, f"SELECT {', '.join(STATUSES)} FROM users")
    assert kept == [tuple(counted.values())]
    versions = user_row(url, user_id, "SELECT count(*) = count(DISTINCT version) FROM tasks")
    assert versions == [(True,)]
    assert ada.get(f"{TASKS}?completed=false").json()["total"] == sum(counted.values()) - counted["completed"]
