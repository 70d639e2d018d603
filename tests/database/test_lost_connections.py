"""Connections to the database that end at the worst moment, and a database that has to wake up first."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import psycopg2
import pytest

from tests.support.client import Client
from tests.support.credentials import SECRET, token
from tests.support.databases import execute
from tests.support.proxy import Proxy
from todo_api.config import Config
from todo_api.database import connection as connections

TASKS = "/api/v1/me/tasks"
THREADS = 4
LOST = "The connection to the database was lost; it is not known whether anything was changed."
AWAY = "The database cannot be reached."
ASLEEP = connections.CONNECT_TIMEOUT + 1
"""Seconds to wake up: more than is waited for by default."""


@pytest.fixture
def proxy(url: str) -> Iterator[Proxy]:
    with Proxy(url) as made:
        yield made


@pytest.fixture
def patient(proxy: Proxy, new_client: Callable[[Config], Client]) -> Client:
    """A client of a service that gives its database ten seconds to wake up."""
    return user(new_client, f"{proxy.url}?connect_timeout=10")


@pytest.fixture
def ada(proxy: Proxy, new_client: Callable[[Config], Client]) -> Client:
    """A client of a service that reaches its database through the proxy, and has met it before."""
    client = user(new_client, proxy.url)
    assert client.post(TASKS, {"title": "Before"}).status == 201
    return client


def user(new_client: Callable[[Config], Client], url: str) -> Client:
    service = new_client(Config(database_url=url, jwt_secret=SECRET, threads=THREADS, queue_limit=60_000))
    return service.signed_in(token(f"user-{time.monotonic_ns()}"))


def titles(client: Client) -> list[str]:
    return sorted(task["title"] for task in client.get(f"{TASKS}?limit=1000").json()["items"])


@pytest.mark.parametrize("after", [False, True], ids=["before-it-arrived", "after-it-was-done"])
def test_create_task_cut_says_that_the_outcome_is_not_known(proxy: Proxy, ada: Client, after: bool) -> None:
    """The two cannot be told apart from here, so neither is tried again."""
    proxy.cut(b"Written", after=after)
    reply = ada.post(TASKS, {"title": "Written"})
    assert (reply.status, reply.code, reply.json()["detail"]) == (503, "unavailable", LOST)
    assert titles(ada) == (["Before", "Written"] if after else ["Before"])
    assert proxy.cuts == 1
    assert ada.post(TASKS, {"title": "Next"}).json()["version"] == (3 if after else 2)


@pytest.mark.parametrize("after", [False, True], ids=["before-it-arrived", "after-it-was-done"])
def test_list_tasks_cut_is_asked_again_on_another_connection(proxy: Proxy, ada: Client, after: bool) -> None:
    proxy.cut(b"Sought", after=after)
    assert ada.get(f"{TASKS}?q=Sought").json()["total"] == 0
    assert proxy.cuts == 1


def test_list_tasks_cut_again_is_unavailable(proxy: Proxy, ada: Client) -> None:
    proxy.cut(b"Sought", after=False, times=2)
    reply = ada.get(f"{TASKS}?q=Sought")
    assert (reply.status, reply.code, reply.json()["detail"]) == (503, "unavailable", AWAY)
    assert proxy.cuts == 2
    assert titles(ada) == ["Before"]


def test_create_task_ended_by_the_server_as_it_waits_says_that_the_outcome_is_not_known(url: str, ada: Client) -> None:
    """`pg_terminate_backend`: the server says so (57P01), but libpq does not hand that on."""
    mine = ada.get(TASKS).json()["items"][0]["user_id"]
    with closing(psycopg2.connect(url)) as holder, ThreadPoolExecutor(1) as threads:
        holder.cursor().execute(
            f"SET LOCAL ROLE task_api_user; SET LOCAL app.user_id = '{mine}'; SELECT FROM users FOR UPDATE"
        )
        writing = threads.submit(ada.post, TASKS, {"title": "Ended"})
        ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'task-api'"
        waiting = f"{ended} AND wait_event_type = 'Lock' AND datname = current_database()"
        while not execute(url, waiting):
            assert not writing.done()
        reply = writing.result()
    assert (reply.status, reply.code, reply.json()["detail"]) == (503, "unavailable", LOST)
    assert titles(ada) == ["Before"]


def test_any_operation_connections_dropped_while_idle_goes_unnoticed(proxy: Proxy, ada: Client) -> None:
    with ThreadPoolExecutor(THREADS) as threads:
        for number in range(3):
            proxy.drop()
            created = threads.map(lambda one: ada.post(TASKS, {"title": one}).status, [str(number)] * THREADS)
            assert list(created) == [201] * THREADS


def test_any_operation_database_asleep_waits_for_it_as_long_as_the_url_says(proxy: Proxy, patient: Client) -> None:
    assert patient.post(TASKS, {"title": "Before"}).status == 201
    proxy.drop()
    proxy.wakes_in = ASLEEP
    began = time.monotonic()
    with ThreadPoolExecutor(THREADS) as threads:
        created = threads.map(lambda one: patient.post(TASKS, {"title": one}).status, ["Woken"] * THREADS)
        assert list(created) == [201] * THREADS
    assert ASLEEP <= time.monotonic() - began < 10
    proxy.wakes_in = 0
    assert titles(patient) == ["Before", *["Woken"] * THREADS]


def test_any_operation_database_asleep_by_default_is_503_until_it_is_awake(proxy: Proxy, ada: Client) -> None:
    proxy.drop()
    proxy.wakes_in = ASLEEP
    # The first one reads: whether it finds the connection lost, or that it was before, comes to the same.
    for reply in (ada.get(TASKS), ada.post(TASKS, {"title": "Too early"})):
        assert (reply.status, reply.headers["retry-after"], reply.json()["detail"]) == (503, "1", AWAY)
    proxy.wakes_in = 0
    time.sleep(connections.CONNECT_PAUSE)
    assert titles(ada) == ["Before"]
