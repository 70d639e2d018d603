"""Sessions that are shared: nothing of one user stays in them for the next, and a restart of the pooler is survived."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import psycopg2
import pytest
from sqlalchemy import Integer, func, literal_column, select
from sqlalchemy.engine import make_url

from tests.support.client import Client
from tests.support.credentials import PASSWORD, SECRET, token
from tests.support.databases import database_url, execute
from tests.support.live import run
from tests.support.on_loop import on_loop
from tests.support.pooler import SESSIONS, Pooler
from todo_api.config import Config
from todo_api.database.database import Database
from todo_api.database.statement import Statement, param
from todo_api.embedded import EmbeddedServer
from todo_api.provisioning import migrations, online

TASKS = "/api/v1/me/tasks"
USERS = [f"user-{number}" for number in range(8)]
SESSION = Statement(
    select(
        func.pg_backend_pid(), func.current_setting("app.user_id"), literal_column("current_user"), param("n", Integer)
    )
)

SETTINGS = """
    SELECT pg_backend_pid(), session_user, current_user, current_setting('role'), current_setting('TimeZone'),
        current_setting('statement_timeout'), current_setting('lock_timeout'),
        coalesce(current_setting('app.user_id', true), ''), coalesce(current_setting('app.email', true), ''),
        (SELECT count(*) FROM tasks)
"""
ITS_OWN = ("todo", "todo", "none", "Asia/Kathmandu", "0", "0", "", "", 0)
"""What another application of the pooler finds in a session that nobody has touched: no role, no user, none of their rows."""


@pytest.fixture(scope="module")
def route() -> str:
    """Every database of these tests is reached through the pooler."""
    return "pooled"


@pytest.fixture(scope="module")
def url(server: EmbeddedServer, new_database: Callable[[], str]) -> str:
    """A database whose clock is not the service's."""
    url = new_database()
    # Before the pooler has met it: it keeps what the first session says of itself for all its callers.
    execute(server.url, f"ALTER DATABASE {make_url(url).database} SET timezone = 'Asia/Kathmandu'")
    return new_sessions(url)


def new_sessions(url: str) -> str:
    """The URL, once its database has as many new sessions as the pooler keeps."""
    others = "datname = current_database() AND pid <> pg_backend_pid()"
    execute(url, f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE {others}")
    time.sleep(0.2)  # for the pooler to notice
    with ExitStack() as stack:
        for _ in range(SESSIONS):
            connection = stack.enter_context(closing(psycopg2.connect(url)))
            stack.callback(connection.rollback)  # else the pooler closes the session
            connection.cursor().execute("SELECT 1")
    return url


@pytest.fixture
def other(url: str) -> Iterator[Callable[[], list[tuple[object, ...]]]]:
    """Another application behind the same pooler: what it finds in each of the sessions."""
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        connection.autocommit = True

        def look() -> list[tuple[object, ...]]:
            found: dict[object, tuple[object, ...]] = {}
            for _ in range(3 * SESSIONS):
                cursor.execute(SETTINGS)
                pid, *settings = cursor.fetchone() or ()
                found[pid] = tuple(settings)
            return [*found.values()]

        yield look


def traffic(anonymous: Client) -> None:
    """Each user does what there is to do, refused things included."""

    def act(user_id: str) -> None:
        client = anonymous.signed_in(token(user_id))
        account = {"email": f"{user_id}@example.com", "password": PASSWORD}
        anonymous.post("/api/v1/auth/register", account)
        assert anonymous.post("/api/v1/auth/token", account).status == 200
        for _ in range(5):
            task = client.post(TASKS, {"title": f"Of {user_id}"}).json()
            assert client.patch(f"{TASKS}/{task['id']}", {"title": "Lost"}, headers={"If-Match": '"0"'}).status == 412
            assert {each["user_id"] for each in client.get(f"{TASKS}?limit=1000").json()["items"]} == {user_id}

    with ThreadPoolExecutor(len(USERS)) as threads:
        list(threads.map(act, USERS))


@on_loop
def test_one_connection_meets_all_sessions_and_each_statement_is_its_users(url: str) -> None:
    database = Database(url, pool_size=1)
    seen = [database.as_user(user_id).fetch_all(SESSION, {"n": 1})[0] for user_id in USERS * 3]
    assert len({pid for pid, *_ in seen}) == SESSIONS
    assert [row[1:] for row in seen] == [(user_id, "task_api_user", 1) for user_id in USERS * 3]
    assert not database._pool.prepares
    database.close()


@on_loop
def test_connection_knows_that_its_sessions_are_shared(url: str) -> None:
    """So each statement brings the settings along, and none is left in a session."""
    database = Database(url, pool_size=1)
    with database.connection() as connection:
        assert connection.has_settings is False
    database.close()


def test_any_operation_leaves_nothing_in_a_session(
    anonymous: Client, other: Callable[[], list[tuple[object, ...]]]
) -> None:
    assert {*other()} == {ITS_OWN}
    with ThreadPoolExecutor(1) as threads:
        acting = threads.submit(traffic, anonymous)
        during = 0
        while not acting.done():
            assert {*other()} == {ITS_OWN}
            during += 1
        acting.result()
    assert during > 3
    assert other() == [ITS_OWN] * SESSIONS


def test_migrate_twice_at_once_through_the_pooler_makes_the_schema_once(
    server: EmbeddedServer, pooler: Pooler, tmp_path: Path
) -> None:
    """With options that a URL may bring along: each of them is libpq's own, or one that a pooler takes."""
    name = f"empty_{time.monotonic_ns()}"
    execute(server.url, f"CREATE DATABASE {name}")
    url = pooler.url(database_url(server.url, name))
    options = "sslmode=prefer&channel_binding=prefer&connect_timeout=10&keepalives_idle=20&application_name=tasks"
    settings = {"DATABASE_URL": f"{url.partition('?')[0]}?{options}", "JWT_SECRET": SECRET}
    with ThreadPoolExecutor(2) as threads:
        done = [*threads.map(lambda folder: run("migrate", cwd=folder, **settings), [tmp_path] * 2)]
    assert [each.returncode for each in done] == [0, 0], done
    assert execute(url, "SELECT version_num FROM alembic_version") == [(migrations.head(),)]


def test_any_operation_sessions_ended_behind_the_pooler_goes_on(url: str, ada: Client) -> None:
    assert ada.post(TASKS, {"title": "Before"}).status == 201
    new_sessions(url)
    assert [ada.post(TASKS, {"title": "After"}).json()["version"] for _ in range(2 * SESSIONS)] == [
        *range(2, 2 + 2 * SESSIONS)
    ]


def test_any_operation_pooler_killed_is_503_and_serves_again_after_its_return(
    server: EmbeddedServer, url: str, new_client: Callable[[Config], Client]
) -> None:
    with Pooler(server.url) as own:
        service = new_client(
            Config(database_url=own.url(url), jwt_secret=SECRET, threads=4, rate_limit="off", queue_limit=60_000)
        )
        ada = service.signed_in(token("ada-of-the-restart"))
        with ThreadPoolExecutor(8) as threads:
            post = lambda title: ada.post(TASKS, {"title": title})  # noqa: E731  # of a line
            assert {reply.status for reply in threads.map(post, ["Before"] * 8)} == {201}
            own.stop()
            replies = [ada.post(TASKS, {"title": "Meanwhile"}), ada.get(TASKS)]
            assert [(reply.status, reply.code) for reply in replies] == [(503, "unavailable")] * 2
            own.start()
            deadline = time.monotonic() + 20
            while (reply := ada.post(TASKS, {"title": "After"})).status == 503:
                assert time.monotonic() < deadline
            assert (reply.status, reply.json()["version"]) == (201, 9)
            # Idle connections that the restart ended are replaced without an error.
            assert {reply.status for reply in threads.map(post, ["After"] * 8)} == {201}
            own.stop()
            own.start()
            assert {reply.status for reply in threads.map(post, ["Again"] * 8)} == {201}


def test_turn_leaves_nothing_on_the_sessions_of_a_pooler(new_database: Callable[[], str]) -> None:
    """They serve other programs afterwards, which would have its lock and its limits."""
    pooled = new_database()
    with online.turn(pooled):
        pass
    with migrations.engine(pooled).connect() as connection:
        online._limit_session(connection)
        connection.commit()
    for _ in range(8):  # each session of the pooler's, in turn
        assert execute(pooled, "SELECT current_setting('lock_timeout')") == [("0",)]
    assert execute(pooled, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == [(0,)]
