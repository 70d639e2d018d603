"""The database stops answering without a word, as when its machine hangs: nobody waits for long, and afterwards all is well again."""

import asyncio
import os
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from functools import partial
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg2
import pytest

from tests.support.client import Reply
from tests.support.clock import ManualClock
from tests.support.contract_check import ContractCheck
from tests.support.credentials import SECRET, token
from tests.support.databases import execute
from tests.support.live import SLACK, Live
from tests.support.on_loop import on_loop
from todo_api.database import connection as connections
from todo_api.database import database as db
from todo_api.database.database import Database
from todo_api.database.greenlets import spawn, wait
from todo_api.database.pool import SWEEP
from todo_api.embedded import EmbeddedServer
from todo_api.errors import Unavailable
from todo_api.provisioning.readiness import check_database

TASKS = "/api/v1/me/tasks"
CONNECTING = 6
"""Seconds that the URLs here give to whoever connects: far more than who does not wait may take on a busy machine."""

BUSY, VERY_BUSY = CONNECTING - 2, 20
"""Seconds that a machine with other work may add, where who waits would take CONNECTING, and elsewhere."""

NOT_KNOWN = "The database does not answer. It is unknown whether the change was made."

AT_ONCE = 7
"""Requests of one user that have a slot at once: all of a worker's but the last. One more waits for a slot, and not for the database."""


class Frozen:
    """A PostgreSQL that can be stopped in all its processes, and a service on each kind of socket to it."""

    def __init__(self, cluster: Path, urls: dict[str, str], services: dict[str, Live], check: ContractCheck) -> None:
        self._cluster = cluster
        self._check = check
        self.urls = urls
        self.services = services

    def send(self, by: signal.Signals) -> None:
        master = psutil.Process(int((self._cluster / "postmaster.pid").read_text().split()[0]))
        children = master.children()
        master.send_signal(by)
        for process in children:
            with suppress(psutil.NoSuchProcess):  # a connection may end meanwhile
                process.send_signal(by)

    def ask(self, kind: str, method: str, path: str, body: bytes = b"") -> tuple[Reply, float]:
        """A reply, and the seconds that it took."""
        began = time.monotonic()
        reply = self.services[kind].request(method, path, body, token=token("ada"))
        took = time.monotonic() - began
        self._check.reply(method, path, reply)
        return reply, took

    def create(self, kind: str, names: str, count: int) -> list[tuple[Reply, float]]:
        """So many tasks at once."""
        with ThreadPoolExecutor(count) as threads:
            bodies = [b'{"title": "%s %s %d"}' % (kind.encode(), names.encode(), number) for number in range(count)]
            return list(threads.map(lambda body: self.ask(kind, "POST", TASKS, body), bodies))


@pytest.fixture(scope="module")
def frozen(check: ContractCheck) -> Iterator[Frozen]:
    folder = Path(tempfile.mkdtemp(prefix="test-frozen-"))
    address = f"127.{1 + os.getpid() % 250}.{1 + os.getpid() // 250 % 250}.7"  # its port is always the same one
    cluster = folder / "postgresql" / "cluster"
    EmbeddedServer.start(folder / "postgresql").stop()
    with (cluster / "postgresql.conf").open("a") as settings, (cluster / "pg_hba.conf").open("w") as access:
        settings.write(f"listen_addresses = '{address}'\n")
        access.write(f"local all all trust\nhost all all {address}/32 trust\nhost all all 127.0.0.0/8 trust\n")
    server = EmbeddedServer.start(folder / "postgresql")
    assert quote(str(cluster), safe="") in server.url
    urls = {"unix": server.url, "tcp": server.url.replace(quote(str(cluster), safe=""), address)}
    patient = {kind: f"{url}&connect_timeout={CONNECTING}" for kind, url in urls.items()}
    with ExitStack() as stack:
        services = {
            kind: stack.enter_context(Live(folder, DATABASE_URL=url, JWT_SECRET=SECRET)).ready()
            for kind, url in patient.items()
        }
        made = Frozen(cluster, urls, services, check)
        stack.callback(made.send, signal.SIGCONT)
        yield made
        for service in services.values():
            assert "Traceback" not in service.output()
            assert "internal_error" not in service.output()
    server.stop()
    shutil.rmtree(folder)


def test_any_operation_database_frozen_is_503_in_bounded_time_and_serves_again_after(frozen: Frozen) -> None:
    with ThreadPoolExecutor(len(frozen.services)) as threads:
        before = dict.fromkeys(frozen.services, 0)
        for kind in frozen.services:
            before[kind] = sum(reply.status == 201 for reply, _ in frozen.create(kind, "before", AT_ONCE))
        assert set(before.values()) == {AT_ONCE}
        frozen.send(signal.SIGSTOP)
        try:
            list(threads.map(lambda kind: while_frozen(frozen, kind), frozen.services))
        finally:
            frozen.send(signal.SIGCONT)
        list(threads.map(lambda kind: after(frozen, kind), frozen.services))


def while_frozen(frozen: Frozen, kind: str) -> None:
    waited = frozen.create(kind, "during", AT_ONCE)
    assert {(reply.status, reply.code) for reply, _ in waited} == {(503, "unavailable")}
    assert NOT_KNOWN in {reply.json()["detail"] for reply, _ in waited}  # of those that had a connection
    assert max(took for _, took in waited) < db.READ_TIMEOUT + 2 * SWEEP + VERY_BUSY
    # One of them tries to connect, and the others are told at once.
    time.sleep(connections.CONNECT_PAUSE)
    *quick, slowest = sorted(took for _, took in frozen.create(kind, "refused", AT_ONCE))
    assert quick[-1] < BUSY
    assert CONNECTING - 1 < slowest < CONNECTING + 1 + VERY_BUSY
    ready, took = frozen.ask(kind, "GET", "/health/ready")
    assert (ready.status, ready.code) == (503, "unavailable")
    assert took < 1 + BUSY
    assert frozen.ask(kind, "GET", "/health/live")[0].status == 200


def after(frozen: Frozen, kind: str) -> None:
    """Good replies soon; what was acknowledged is there, and nothing twice."""
    deadline = time.monotonic() + SLACK
    while (reply := frozen.create(kind, "after", 1)[0][0]).status == 503:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert reply.status == 201
    assert frozen.ask(kind, "GET", "/health/ready")[0].status == 200
    titles = [task["title"] for task in frozen.ask(kind, "GET", f"{TASKS}?limit=1000")[0].json()["items"]]
    assert len({*titles}) == len(titles)
    assert {f"{kind} after 0", *(f"{kind} before {number}" for number in range(AT_ONCE))} <= {*titles}


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a server that takes connections and never says a word."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        yield f"postgresql://ada@127.0.0.1:{listener.getsockname()[1]}/todo?connect_timeout={CONNECTING}"


def seconds_of_refusal(call: Callable[[], object]) -> tuple[str, float]:
    """Why the database is unavailable, and how long it took to say so."""
    began = time.monotonic()
    with pytest.raises(Unavailable) as raised:
        call()
    return str(raised.value), time.monotonic() - began


@on_loop
def test_database_that_does_not_take_up_a_connection_is_unavailable_and_then_at_once(
    silent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = ManualClock()
    monkeypatch.setattr(connections, "monotonic", clock)
    database = Database(silent, pool_size=8)
    ping = partial(check_database, database)
    detail, took = seconds_of_refusal(ping)
    assert detail == "The database cannot be reached."
    assert CONNECTING - 1 < took < CONNECTING + 1 + VERY_BUSY
    assert seconds_of_refusal(ping)[1] < BUSY
    clock.move_on(connections.CONNECT_PAUSE)
    refusals = wait(asyncio.gather(*(spawn(seconds_of_refusal, ping) for _ in range(8))))
    *quick, slowest = sorted(took for _, took in refusals)
    assert quick[-1] < BUSY
    assert slowest > CONNECTING - 1


@on_loop
def test_database_without_a_free_connection_is_unavailable(url: str) -> None:
    with closing(Database(url, pool_size=1)) as database, database.connection():
        detail, took = seconds_of_refusal(partial(check_database, database))
    assert detail == "All connections to the database are in use."
    assert connections.POOL_TIMEOUT - 0.1 < took < connections.POOL_TIMEOUT + VERY_BUSY


SLOW = """
CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(60); RETURN NEW; END';
CREATE TRIGGER slow BEFORE INSERT ON tasks FOR EACH ROW EXECUTE FUNCTION slow();
"""


def test_statement_or_lock_that_takes_too_long_is_503_in_its_own_words(frozen: Frozen) -> None:
    credentials = b'{"email": "ada@example.com", "password": "correct horse battery"}'
    execute(frozen.urls["unix"], SLOW)
    with closing(psycopg2.connect(frozen.urls["unix"])) as holder, ThreadPoolExecutor(2) as threads:
        holder.cursor().execute("LOCK TABLE accounts")
        lock = threads.submit(frozen.ask, "unix", "POST", "/api/v1/auth/token", credentials)
        statement = threads.submit(frozen.ask, "unix", "POST", TASKS, b'{"title": "slow"}')
        refused = [(reply.status, reply.json()["detail"]) for reply, _ in (lock.result(), statement.result())]
    assert refused == [
        (503, "What the request needs is in use by others; nothing was changed."),
        (503, "The database did not answer in time; nothing was changed."),
    ]
    assert connections.LOCK_TIMEOUT < lock.result()[1] < connections.LOCK_TIMEOUT + VERY_BUSY
    assert connections.STATEMENT_TIMEOUT < statement.result()[1] < connections.STATEMENT_TIMEOUT + VERY_BUSY
