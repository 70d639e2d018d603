"""What waits, and what is purged, beside what happens meanwhile."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from time import monotonic
from typing import Any

import psycopg2
import pytest

from tests.support.client import Client
from tests.support.locks import somebody_waits
from tests.support.on_loop import on_loop
from tests.support.rows import rows, superuser_url
from tests.support.tasks import create, path
from todo_api import changes
from todo_api.changes import Waits
from todo_api.changes import waits as waiting
from todo_api.changes.handlers import _dumped
from todo_api.changes.service import Change, ChangePage, ChangeService
from todo_api.changes.tokens import NIL, Position
from todo_api.database import Database
from todo_api.guards import UNREGISTERED
from todo_api.lists import MAX_PAGE
from todo_api.schemas import dump_json

NOBODY: Any = None
"""In the place of what is not asked."""


class Admission:
    """Admission control that lets nobody wait who has been woken."""

    is_stopping = False

    async def pause(self, _: str, woken: asyncio.Event, __: float) -> None:
        assert woken.is_set(), "would wait for a write that has been"


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    with closing(Database(url, pool_size=2)) as database:
        yield database


def is_there() -> bool:
    return False


def may_wait(waiter: waiting.Waiter) -> bool:
    return waiter._ends > monotonic()


def test_list_changes_waits_in_as_many_requests_as_a_process_may_have_and_in_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(waiting, "MOST", 2)
    waits = Waits(NOBODY, NOBODY)
    for _ in range(2):  # and again, once these have ended
        with (
            waits.waiter("ann", 30, is_there) as one,
            waits.waiter("ben", 30, is_there) as two,
            waits.waiter("cyd", 30, is_there) as three,
        ):
            assert [may_wait(each) for each in (one, two, three)] == [True, True, False]
    assert waits._waiters == {}  # a process remembers nobody who does not wait


@pytest.mark.parametrize(("begins", "ends"), [(7.0, 37.0), (7.1, 37.0), (7.4, 37.0), (7.5, 37.5), (7.9, 37.5)])
def test_list_changes_waits_end_together_and_none_later_than_asked(
    monkeypatch: pytest.MonkeyPatch, begins: float, ends: float
) -> None:
    monkeypatch.setattr(waiting, "monotonic", lambda: begins)
    with Waits(NOBODY, NOBODY).waiter("ann", 30, is_there) as waiter:
        assert waiter._ends == ends


@on_loop
def test_list_changes_is_answered_however_many_users_wait(
    url: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows(url, "INSERT INTO users (id, seq) VALUES ('ann', 1), ('ben', 2), ('cyd', 3)")
    monkeypatch.setattr(waiting, "_USERS", 2)
    waits = Waits(database, NOBODY)
    with (
        waits.waiter("ann", 30, is_there) as one,
        waits.waiter("ben", 30, is_there) as two,
        waits.waiter("cyd", 30, is_there) as three,
    ):
        for waiter in (one, two, three):
            waiter.begin()
            waiter.seq = 1
        waits.look()
        assert [each._woken.is_set() for each in (one, two, three)] == [False, True, True]


@on_loop
def test_list_changes_beside_a_write_that_ends_while_the_page_is_read_looks_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page was read before it, and its end wakes who does not sleep yet."""
    admission: Any = Admission()
    feed = ChangeService(database, "ann", UNREGISTERED)
    found: Any = object()
    pages = [ChangePage(1, 1, [], False, None), ChangePage(1, 2, [found], False, None)]
    with Waits(database, admission).waiter("ann", 30, is_there) as waiter:

        def page(*_: object) -> ChangePage:
            waiter.wake()
            return pages.pop(0)

        monkeypatch.setattr(feed, "page", page)
        assert feed.awaited(None, 1, NOBODY, waiter).changes == [found]


def test_purge_of_tombstones_waits_for_the_user_and_leaves_what_was_deleted_again_meanwhile(
    ada: Client, url: str, database: Database
) -> None:
    task = create(ada)
    assert ada.delete(path(task)).status == 204
    rows(url, f"UPDATE tombstones SET deleted_at = now() - interval '91 days' WHERE id = '{task['id']}'")

    @on_loop
    def purge() -> int:
        return changes.purge(database)

    with closing(psycopg2.connect(superuser_url(url))) as again, ThreadPoolExecutor(1) as threads:
        cursor = again.cursor()
        cursor.execute(f"SELECT FROM users WHERE id = '{task['user_id']}' FOR NO KEY UPDATE")
        cursor.execute(f"UPDATE tombstones SET deleted_at = now() WHERE id = '{task['id']}'")
        purging = threads.submit(purge)
        assert somebody_waits(url)
        again.commit()
        assert purging.result(60) == 0
    assert rows(url, f"SELECT count(*) FROM tombstones WHERE id = '{task['id']}'") == [(1,)]


@on_loop
def test_purge_of_tombstones_lowers_no_horizon(url: str, database: Database) -> None:
    """A thousand at a time are purged in no order."""
    rows(
        url,
        "INSERT INTO users (id, seq, horizon) VALUES ('horizon', 9, 7);"
        "INSERT INTO tombstones VALUES ('horizon', 'task', gen_random_uuid(), 5, now() - interval '91 days')",
    )
    assert changes.purge(database) == 1
    assert rows(url, "SELECT horizon FROM users WHERE id = 'horizon'") == [(7,)]


def test_list_changes_page_of_the_smallest_objects_has_room_for_what_stands_around_them() -> None:
    """They fill the page to less than the length of one, and a token is longer than that."""
    change = Change("task", Position(2**53 - 1, 3, NIL), None)
    members, count = _dumped([change] * 40_000)
    page = dump_json({"full": True} | members | {"next": "x" * 120, "more": True})
    assert count < 40_000
    assert len(page) <= MAX_PAGE
