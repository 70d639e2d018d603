"""How long the history is kept."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.support.client import Client
from tests.support.on_loop import on_loop
from tests.support.rows import rows
from tests.support.tasks import create, path
from todo_api import history
from todo_api.database import purging
from todo_api.database.database import Database
from todo_api.idempotency import statements as replies


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    with closing(Database(url, pool_size=2)) as database:
        yield database


@on_loop
def purge(database: Database, days: int = 90) -> int:
    return history.purge(database, days)


def test_purge_deletes_what_is_older_than_the_days(ada: Client, url: str, database: Database) -> None:
    task = create(ada)
    for title in ("x", "y", "z"):
        ada.patch(path(task), {"title": title})
    for seq, days in ((2, 91), (3, 90)):
        rows(url, f"UPDATE history SET day = CURRENT_DATE - {days} WHERE id = '{task['id']}' AND seq = {seq}")
    assert purge(database) == 1
    assert rows(url, f"SELECT seq FROM history WHERE id = '{task['id']}' ORDER BY 1") == [(3,), (4,)]
    assert purge(database, 7) == 1
    assert [entry["seq"] for entry in ada.get(f"{path(task)}/history").json()["items"]] == [4]


def test_purge_deletes_a_thousand_at_a_time_and_one_process_is_at_it(ada: Client, url: str, database: Database) -> None:
    task = create(ada)
    rows(
        url,
        "INSERT INTO history (user_id, seq, version_before, kind, id, action, at, changes, day)"
        f" SELECT '{task['user_id']}', n, 1, 'task', '{task['id']}', 'updated', now(), '{{}}', CURRENT_DATE - 91"
        " FROM generate_series(2, 1501) n",
    )

    @on_loop
    def beside_another() -> int:
        with database.transaction(claim=purging.LOCK) as transaction:
            transaction.as_user("ada").fetch_all(replies.TRIM, {"user_id": "ada"})
            return history.purge(database, 90)

    assert beside_another() == 0
    assert [purge(database) for _ in range(3)] == [purging.AT_ONCE, 1500 - purging.AT_ONCE, 0]
