"""What the feed keeps: tombstones are purged, and who has not seen them is told to begin anew."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.support.client import Client
from tests.support.on_loop import on_loop
from tests.support.rows import rows
from tests.support.tasks import create, path
from todo_api import changes
from todo_api.database import purging
from todo_api.database.database import Database
from todo_api.idempotency import statements as replies
from todo_api.provisioning import epochs

CHANGES = "/api/v1/me/changes"


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    with closing(Database(url, pool_size=2)) as database:
        yield database


@on_loop
def purge(database: Database) -> int:
    return changes.purge(database)


def age(url: str, user_id: str, days: int) -> None:
    """Have everything that the user deleted be deleted so many days ago."""
    rows(url, f"UPDATE tombstones SET deleted_at = now() - interval '{days} days' WHERE user_id = '{user_id}'")


def buried(url: str, user_id: str) -> list[tuple[str, str, int]]:
    """Return kind, id and version of each tombstone, by version."""
    found = rows(
        url, f"SELECT kind, id::text, version FROM tombstones WHERE user_id = '{user_id}' ORDER BY version, id"
    )
    return [(kind, id_, version) for kind, id_, version in found]


def since(client: Client, token: str, limit: int = 500) -> tuple[int, int]:
    """Return the status, and how many deletions are told."""
    reply = client.get(f"{CHANGES}?since={token}&limit={limit}")
    return reply.status, len(reply.json().get("deleted", []))


def next_of(client: Client, limit: int = 500, token: str = "") -> str:
    """Return the token of a page."""
    query = f"&since={token}" if token else ""
    return str(client.get(f"{CHANGES}?limit={limit}{query}").json()["next"])


def test_list_changes_after_the_purge_is_410_for_who_missed_a_deletion(
    ada: Client, bob: Client, url: str, database: Database
) -> None:
    user_id = create(ada)["user_id"]
    create(bob)
    before, of_bob = next_of(ada), next_of(bob)
    task = create(ada)
    assert ada.delete(path(task)).status == 204
    after = next_of(ada)
    create(ada)
    assert ada.delete(path(create(ada))).status == 204
    rows(url, f"UPDATE tombstones SET deleted_at = now() - interval '91 days' WHERE id = '{task['id']}'")
    assert purge(database) == 1
    assert [id_ == task["id"] for _, id_, _ in buried(url, user_id)] == [False]
    assert (since(ada, before), since(ada, after), since(bob, of_bob)) == ((410, 0), (200, 1), (200, 0))
    tag = ada.get(CHANGES).headers["etag"]
    assert ada.get(f"{CHANGES}?since={before}", headers={"If-None-Match": tag}).status == 410


def test_list_changes_before_90_days_have_passed_tells_of_a_deletion(ada: Client, url: str, database: Database) -> None:
    user_id = create(ada)["user_id"]
    before = next_of(ada)
    assert ada.delete(path(create(ada))).status == 204
    age(url, user_id, 89)
    assert purge(database) == 0
    assert since(ada, before) == (200, 1)


def test_list_changes_between_deletions_of_one_number_is_410_once_they_are_purged(
    ada: Client, url: str, database: Database
) -> None:
    kept = create(ada)
    root = create(ada)
    children = [create(ada, parent_id=root["id"]) for _ in range(2)]
    before = next_of(ada)
    assert ada.delete(path(root)).status == 204
    between, after = next_of(ada, 1, before), next_of(ada, 500, before)
    assert since(ada, between) == (200, len(children))
    age(url, kept["user_id"], 91)
    assert purge(database) == 3
    assert (since(ada, between), since(ada, after)) == ((410, 0), (200, 0))


def test_list_changes_of_a_walk_that_began_before_a_purged_deletion_is_410(
    ada: Client, url: str, database: Database
) -> None:
    tasks = [create(ada) for _ in range(3)]
    assert ada.delete(path(create(ada))).status == 204
    later = next_of(ada, 1)
    age(url, tasks[0]["user_id"], 91)
    assert purge(database) == 1
    assert since(ada, later) == (200, 0)
    assert ada.delete(path(tasks[0])).status == 204
    age(url, tasks[0]["user_id"], 91)
    assert purge(database) == 1
    assert since(ada, later) == (410, 0)


def test_purge_of_tombstones_leaves_what_was_deleted_again(ada: Client, url: str, database: Database) -> None:
    id_ = "01932c07-9f7a-7c1d-b6a1-5a2f0f5d1c3e"
    user_id = create(ada, id=id_)["user_id"]
    before = next_of(ada)
    assert ada.delete(path({"id": id_})).status == 204
    age(url, user_id, 91)
    rows(url, "DELETE FROM trash")
    again = create(ada, id=id_)
    assert ada.delete(path(again)).status == 204
    assert purge(database) == 0
    assert buried(url, user_id) == [("task", id_, again["version"] + 1)]
    assert since(ada, before) == (200, 1)


def test_purge_of_tombstones_deletes_a_thousand_at_a_time_and_one_process_is_at_it(
    ada: Client, bob: Client, url: str, database: Database
) -> None:
    users = [create(client)["user_id"] for client in (ada, bob)]
    for user_id in users:
        rows(
            url,
            f"INSERT INTO tombstones SELECT '{user_id}', 'task', gen_random_uuid(), n, now() - interval '91 days'"
            " FROM generate_series(1, 700) n",
        )

    @on_loop
    def beside_another() -> int:
        with database.transaction(claim=purging.LOCK) as transaction:
            transaction.as_user(users[0]).fetch_all(replies.TRIM, {"user_id": users[0]})
            return changes.purge(database)

    assert beside_another() == 0
    assert purge(database) == purging.AT_ONCE
    assert purge(database) == 1400 - purging.AT_ONCE
    assert purge(database) == 0
    assert rows(url, "SELECT DISTINCT horizon FROM users WHERE id = ANY(ARRAY['" + "','".join(users) + "'])") == [
        (700,)
    ]


def test_list_changes_after_a_restore_is_410_and_then_has_everything(ada: Client, url: str) -> None:
    """What was written after the backup had numbers that are given to other writes now."""
    task = create(ada)
    token, tag = next_of(ada), ada.get(CHANGES).headers["etag"]
    epochs.renew(url)
    create(ada, "Another")
    reply = ada.get(f"{CHANGES}?since={token}", headers={"If-None-Match": tag})
    assert (reply.status, reply.code) == (410, "resync_required")
    page = ada.get(CHANGES).json()
    assert (page["full"], page["tasks"][0], len(page["tasks"])) == (True, task, 2)


def test_delete_account_leaves_no_tombstone(ada: Client, url: str) -> None:
    """The tasks that go with the user are deleted by the database, and buried by no trigger."""
    task = create(ada)
    assert ada.delete(path(create(ada))).status == 204
    assert len(buried(url, task["user_id"])) == 1
    rows(url, f"DELETE FROM users WHERE id = '{task['user_id']}'")
    assert buried(url, task["user_id"]) == []
