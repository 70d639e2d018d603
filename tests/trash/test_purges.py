"""The purge of the trash: what is there for longer than it is kept, and nothing else, by one process at a time."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.support.client import Client
from tests.support.on_loop import on_loop
from tests.support.rows import rows
from tests.support.tasks import create, path
from tests.support.trash import project, trashed
from todo_api import trash
from todo_api.database import purging
from todo_api.database.database import Database
from todo_api.idempotency import statements as replies


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    with closing(Database(url, pool_size=2)) as database:
        yield database


@on_loop
def purge(database: Database, days: int) -> int:
    return trash.purge(database, days)


def age(url: str, id_: str, interval: str) -> None:
    """Have a row be in the trash for so long already."""
    rows(url, f"UPDATE trash SET trashed_at = now() - interval '{interval}' WHERE id = '{id_}'")


def test_purge_of_trash_deletes_what_is_there_for_longer(
    ada: Client, bob: Client, direct: str, database: Database
) -> None:
    garden = project(ada)
    inside, old, new, of_bob = create(ada, project_id=garden["id"]), create(ada), create(ada), create(bob)
    assert ada.delete(f"/api/v1/me/projects/{garden['id']}").status == 204
    for client, task in ((ada, old), (ada, new), (bob, of_bob)):
        assert client.delete(path(task)).status == 204
    for each in (garden, inside, old, of_bob):
        age(direct, each["id"], "30 days 1 minute")
    age(direct, new["id"], "29 days 23 hours")
    assert purge(database, 31) == 0
    assert purge(database, 30) == 4
    assert {**trashed(direct, new["user_id"]), **trashed(direct, of_bob["user_id"])} == {new["id"]: ("task", new["id"])}
    assert create(ada, id=old["id"])["id"] == old["id"]
    assert purge(database, 0) == 1
    assert purge(database, 0) == 0


def test_purge_of_trash_deletes_a_thousand_at_a_time_and_one_process_is_at_it(
    ada: Client, direct: str, database: Database
) -> None:
    user_id = create(ada)["user_id"]
    rows(
        direct,
        f"INSERT INTO trash SELECT '{user_id}', 'task', id, 'task', id, n, 'x', now() - interval '31 days', '{{}}'"
        f" FROM generate_series(1, {purging.AT_ONCE + 400}) n, LATERAL (SELECT md5(n::text)::uuid) _(id)",
    )

    @on_loop
    def beside_another() -> int:
        with database.transaction(claim=purging.LOCK) as transaction:
            transaction.as_user(user_id).fetch_all(replies.TRIM, {"user_id": user_id})
            return trash.purge(database, 30)

    assert beside_another() == 0
    assert [purge(database, 30) for _ in range(3)] == [purging.AT_ONCE, 400, 0]
