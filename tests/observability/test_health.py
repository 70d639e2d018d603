"""Health: every check with its state and time, in bounded time, whatever the database does."""

import asyncio
import logging
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import psycopg2
import pytest

from tests.support.client import Client
from tests.support.credentials import SECRET, token
from tests.support.databases import execute
from todo_api.config import Config
from todo_api.database.greenlets import spawn, wait
from todo_api.errors import Unavailable
from todo_api.operations.readiness import DEADLINE, Readiness

READY = "/health/ready"
SLACK = 15.0
"""Seconds that a busy machine may add."""


@pytest.fixture
def silent() -> Iterator[Config]:
    """A service whose database takes connections and says nothing. It has one thread for requests."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield Config(
            database_url=f"postgresql://u:p@127.0.0.1:{listener.getsockname()[1]}/d", jwt_secret=SECRET, threads=1
        )


def test_check_liveness_answers(anonymous: Client) -> None:
    assert anonymous.get("/health/live").json() == {"status": "pass"}


def test_check_readiness_with_everything_well_tells_every_check(anonymous: Client) -> None:
    body = anonymous.get(READY).json()
    states = {name: check["status"] for name, check in body["checks"].items()}
    assert (body["status"], states) == ("pass", {"database": "pass", "schema": "pass"})


def test_check_readiness_with_an_older_schema_is_unavailable(
    new_database: Callable[[], str], new_client: Callable[[Config], Client]
) -> None:
    url = new_database()
    execute(url, "UPDATE alembic_version SET version_num = '0000'")
    reply = new_client(Config(database_url=url, jwt_secret=SECRET)).get(READY)
    assert (reply.status, reply.code, reply.json()["detail"]) == (503, "unavailable", "Not ready: schema.")
    assert reply.json()["checks"]["database"]["status"] == "pass"


def test_check_readiness_with_the_schema_of_the_next_release_is_well(
    new_database: Callable[[], str], new_client: Callable[[Config], Client]
) -> None:
    """The next release migrates while this one serves, which is not to be taken for ill then."""
    url = new_database()
    execute(url, "UPDATE alembic_version SET version_num = '9999'")
    assert new_client(Config(database_url=url, jwt_secret=SECRET)).get(READY).status == 200


def test_check_readiness_without_a_schema_is_unavailable(
    new_database: Callable[[], str], new_client: Callable[[Config], Client]
) -> None:
    url = new_database()
    execute(url, "DROP TABLE alembic_version")
    reply = new_client(Config(database_url=url, jwt_secret=SECRET)).get(READY)
    assert (reply.status, reply.json()["detail"]) == (503, "Not ready: schema.")


def test_check_readiness_with_a_silent_database_is_unavailable_in_time(
    silent: Config, new_client: Callable[[Config], Client]
) -> None:
    client = new_client(silent)
    began = time.monotonic()
    reply = client.get(READY)
    assert time.monotonic() - began < DEADLINE + SLACK
    assert (reply.status, reply.headers["retry-after"]) == (503, "1")
    assert reply.json()["detail"] == "Not ready: database, schema."


def test_check_liveness_while_every_thread_waits_for_the_database_answers(
    silent: Config, new_client: Callable[[Config], Client]
) -> None:
    client = new_client(silent)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(client.get, "/api/v1/me/tasks", headers={"Authorization": f"Bearer {token('ada')}"})
        began = time.monotonic()
        assert client.get("/health/live").status == 200
        assert time.monotonic() - began < SLACK
        assert not waiting.done()
        assert waiting.result().status == 503


def test_readiness_asked_by_many_at_once_runs_one_round() -> None:
    runs = 0

    async def main() -> list[str]:
        release = asyncio.Event()

        def check() -> None:
            nonlocal runs
            runs += 1
            wait(release.wait())

        readiness = Readiness({"database": check}, deadline=10)
        reports = [asyncio.create_task(spawn(readiness.report)) for _ in range(8)]
        while not runs:
            await asyncio.sleep(0)
        release.set()
        return [(await report)["database"].status for report in reports]

    assert asyncio.run(main()) == ["pass"] * 8
    assert runs == 1


def test_readiness_of_one_who_leaves_goes_on_for_the_others() -> None:
    async def main() -> str:
        release = asyncio.Event()
        readiness = Readiness({"database": lambda: wait(release.wait()) and None}, deadline=10)
        leaver, other = (asyncio.create_task(spawn(readiness.report)) for _ in range(2))
        await asyncio.sleep(0.05)
        leaver.cancel()
        await asyncio.sleep(0.05)
        release.set()
        return (await other)["database"].status

    assert asyncio.run(main()) == "pass"


def test_readiness_that_hangs_fails_at_its_deadline_what_has_no_answer_and_ends_it() -> None:
    ended: list[str] = []

    def hang() -> None:
        try:
            wait(asyncio.sleep(10))
        except asyncio.CancelledError:
            ended.append("hang")
            raise

    readiness = Readiness({"first": lambda: None, "second": hang, "third": lambda: None}, deadline=0.2)
    began = time.monotonic()
    report = asyncio.run(spawn(readiness.report))
    assert time.monotonic() - began < 0.2 + SLACK
    assert {name: check.status for name, check in report.items()} == {
        "first": "pass",
        "second": "fail",
        "third": "fail",
    }
    assert report["second"].duration_ms >= 199
    assert ended == ["hang"]


def test_readiness_after_a_hang_passes_again() -> None:
    async def main() -> list[str]:
        release = asyncio.Event()
        readiness = Readiness({"database": lambda: wait(release.wait()) and None}, deadline=0.2)
        before = await spawn(readiness.report)
        release.set()
        return [before["database"].status, (await spawn(readiness.report))["database"].status]

    assert asyncio.run(main()) == ["fail", "pass"]


@pytest.mark.parametrize("error", [Unavailable(), ValueError("a fault of the check")], ids=["unavailable", "fault"])
def test_readiness_with_a_check_that_raises_fails_that_check_alone(error: Exception) -> None:
    def broken() -> None:
        raise error

    report = asyncio.run(spawn(Readiness({"first": broken, "second": lambda: None}).report))
    assert {name: check.status for name, check in report.items()} == {"first": "fail", "second": "pass"}


def test_check_readiness_while_every_slot_waits_for_a_lock_is_well(
    url: str, new_client: Callable[[Config], Client]
) -> None:
    """Its connection is one that no request can have."""
    client = new_client(Config(database_url=url, jwt_secret=SECRET, threads=1))
    with closing(psycopg2.connect(url)) as holder, ThreadPoolExecutor(1) as threads:
        holder.cursor().execute("LOCK TABLE users")
        waiting = threads.submit(client.signed_in(token("ada")).post, "/api/v1/me/tasks", {"title": "Waits"})
        while not execute(url, "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'users'::regclass"):
            assert not waiting.done()
        assert client.get(READY).status == 200
        assert not waiting.done()
        holder.rollback()
        assert waiting.result().status == 201


def test_readiness_logs_why_a_check_fails_once_and_when_it_passes_again(caplog: pytest.LogCaptureFixture) -> None:
    causes: list[Exception | None] = [None, Unavailable("away"), Unavailable("away"), Unavailable("full"), None, None]

    def check() -> None:
        cause = causes.pop(0)
        if cause is not None:
            raise cause

    async def main() -> None:
        readiness = Readiness({"database": check})
        for _ in range(6):
            await spawn(readiness.report)

    caplog.set_level(logging.INFO)
    asyncio.run(main())
    told = [each.getMessage() for each in caplog.records if each.name == Readiness.__module__]
    assert told == ["not ready: database: away", "not ready: database: full", "ready again: database"]
