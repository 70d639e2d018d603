"""Instants that were computed with other zone data, batch by batch. Another release is what it leaves in the rows."""

from collections.abc import Iterator

import pytest

from tests.support.client import Client
from tests.support.on_loop import on_loop
from tests.support.rows import rows
from todo_api.database import Database
from todo_api.local_time import RELEASE
from todo_api.task_dates import Recomputation, recomputation

TASKS = "/api/v1/me/tasks"
DUE = {"date": "2026-11-20", "time": "12:00", "time_zone": "Europe/Berlin"}
RIGHT, WRONG = "2026-11-20 11:00:00+00", "2000-01-01 00:00:00+00"
CURRENT, OLDER = RELEASE * 1000, (RELEASE - 1) * 1000
COPIED = (
    "title, status, created_at, updated_at, version, due_date, due_time, due_zone, due_at,"
    " start_date, start_time, start_zone, start_at"
)


@pytest.fixture
def user(ada: Client, direct: str) -> str:
    """A user with 2,500 tasks that have dates, whose instants are wrong, as older zone data have left them."""
    task = ada.post(TASKS, {"title": "Dated", "due": DUE, "start": DUE}).json()
    user_id: str = task["user_id"]
    rows(
        direct,
        f"INSERT INTO tasks (user_id, id, {COPIED}) SELECT user_id, gen_random_uuid(), {COPIED}"
        f" FROM tasks, generate_series(2, 2500) WHERE user_id = '{user_id}';"
        f"UPDATE users SET pending = 2500, zone_data = {OLDER} WHERE id = '{user_id}';"
        f"UPDATE tasks SET due_at = '{WRONG}', start_at = '{WRONG}' WHERE user_id = '{user_id}'",
    )
    return user_id


@pytest.fixture(autouse=True)
def nobody_else(direct: str) -> Iterator[None]:
    """Leave no user of older zone data to the next test."""
    yield
    rows(direct, f"UPDATE users SET zone_data = {CURRENT} WHERE zone_data < {CURRENT}")


def right(url: str, user: str) -> int:
    """Return how many tasks have the right instants."""
    ((number,),) = rows(
        url, f"SELECT count(*) FROM tasks WHERE user_id = '{user}' AND due_at = '{RIGHT}' AND start_at = '{RIGHT}'"
    )
    return int(number)


def zone_data(url: str, user: str) -> int:
    """Return what the user's row says."""
    ((number,),) = rows(url, f"SELECT zone_data FROM users WHERE id = '{user}'")
    return int(number)


@on_loop
def test_recomputation_of_many_tasks_goes_on_in_batches_and_then_has_nothing_to_do(
    ada: Client, database: Database, direct: str, user: str
) -> None:
    before = ada.get(f"{TASKS}?sort=due&limit=1")
    work = Recomputation(database)
    assert [(work.step(), right(direct, user)) for _ in range(4)] == [(1, 1000), (1, 2000), (1, 2500), (0, 2500)]
    assert zone_data(direct, user) == CURRENT
    after = ada.get(f"{TASKS}?sort=due&limit=1")
    assert after.headers["etag"] != before.headers["etag"]
    assert after.json()["items"][0]["version"] == before.json()["items"][0]["version"]


@pytest.mark.parametrize("name", ["due", "start"])
@on_loop
def test_recomputation_computes_a_task_that_has_one_of_its_dates_alone(
    ada: Client, database: Database, direct: str, name: str
) -> None:
    task = ada.post(TASKS, {"title": "Dated", name: DUE}).json()
    of_user = f"WHERE user_id = '{task['user_id']}'"
    rows(direct, f"UPDATE tasks SET {name}_at = '{WRONG}' {of_user}")
    rows(direct, f"UPDATE users SET zone_data = {OLDER} WHERE id = '{task['user_id']}'")
    work = Recomputation(database)
    assert (work.step(), work.step()) == (1, 0)
    assert rows(direct, f"SELECT {name}_at = '{RIGHT}' FROM tasks {of_user}") == [(True,)]


@on_loop
def test_recomputation_that_ends_half_way_is_begun_anew_by_the_next(database: Database, direct: str, user: str) -> None:
    assert Recomputation(database).step() == 1
    assert OLDER < zone_data(direct, user) < CURRENT
    another = Recomputation(database)
    assert [another.step() for _ in range(4)] == [1, 1, 1, 0]
    assert (right(direct, user), zone_data(direct, user)) == (2500, CURRENT)


@on_loop
def test_recomputation_gives_up_a_user_whom_another_one_has_begun(database: Database, direct: str, user: str) -> None:
    first, second = Recomputation(database), Recomputation(database)
    assert (first.step(), second.step(), first.step()) == (1, 1, 0)
    assert [second.step() for _ in range(3)] == [1, 1, 0]
    assert (right(direct, user), zone_data(direct, user)) == (2500, CURRENT)


@on_loop
def test_recomputation_gives_up_a_user_whom_another_one_has_finished_meanwhile(
    database: Database, direct: str, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = Recomputation(database), Recomputation(database)
    found = first._outdated()
    assert [second.step() for _ in range(4)] == [1, 1, 1, 0]
    monkeypatch.setattr(first, "_outdated", lambda: found)
    assert first.step() == 0
    assert (right(direct, user), zone_data(direct, user)) == (2500, CURRENT)


@on_loop
def test_recomputation_beside_a_write_with_older_zone_data_is_begun_anew(
    database: Database, direct: str, user: str
) -> None:
    work = Recomputation(database)
    assert (work.step(), work.step()) == (1, 1)
    rows(
        direct,
        f"UPDATE users SET zone_data = {OLDER} WHERE id = '{user}';"
        f"UPDATE tasks SET due_at = '{WRONG}' WHERE id = (SELECT min(id::text)::uuid FROM tasks WHERE user_id = '{user}')",
    )
    assert work.step() == 0
    assert zone_data(direct, user) == OLDER
    assert [work.step() for _ in range(4)] == [1, 1, 1, 0]
    assert (right(direct, user), zone_data(direct, user)) == (2500, CURRENT)


@on_loop
def test_recomputation_leaves_alone_what_newer_zone_data_have_computed(
    database: Database, direct: str, user: str
) -> None:
    rows(direct, f"UPDATE users SET zone_data = {CURRENT + 1000} WHERE id = '{user}'")
    assert Recomputation(database).step() == 0
    assert right(direct, user) == 0


@on_loop
def test_recomputation_of_right_instants_changes_no_tag(
    ada: Client, database: Database, direct: str, user: str
) -> None:
    rows(direct, f"UPDATE tasks SET due_at = '{RIGHT}', start_at = '{RIGHT}' WHERE user_id = '{user}'")
    tag = ada.get(TASKS).headers["etag"]
    work = Recomputation(database)
    assert [work.step() for _ in range(4)] == [1, 1, 1, 0]
    assert ada.request("GET", TASKS, headers={"If-None-Match": tag}).status == 304


@on_loop
def test_recomputation_while_another_process_computes_waits_for_the_next_time(
    database: Database, direct: str, user: str
) -> None:
    rows(direct, f"SELECT pg_advisory_lock({recomputation.LOCK})")
    try:
        assert Recomputation(database).step() == 0
        assert zone_data(direct, user) == OLDER
    finally:
        rows(direct, f"SELECT pg_advisory_unlock({recomputation.LOCK})")
    assert Recomputation(database).step() == 1


@on_loop
def test_recomputation_of_a_zone_that_is_gone_leaves_the_instant(database: Database, direct: str, user: str) -> None:
    rows(
        direct,
        f"UPDATE tasks SET due_zone = 'Atlantis/Centre', start_zone = 'Atlantis/Centre' WHERE user_id = '{user}'",
    )
    work = Recomputation(database)
    assert [work.step() for _ in range(4)] == [1, 1, 1, 0]
    assert right(direct, user) == 0
