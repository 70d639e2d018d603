"""The database goes away under a running service, and comes back: 503 meanwhile, and no restart."""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.support.client import Reply
from tests.support.contract_check import ContractCheck
from tests.support.credentials import SECRET, token
from tests.support.live import SLACK, Live
from todo_api.embedded import EmbeddedServer

TASKS = "/api/v1/me/tasks"
CONNECTIONS = 9
"""One more than a worker has: every one of its pool is lost."""

IN_TIME = 20
"""Seconds. Nobody waits for a database that is away, but the machine may have other work."""


class Outage:
    """A service, and the PostgreSQL it uses, which can be taken away."""

    def __init__(self, folder: Path, service: Live, server: EmbeddedServer, check: ContractCheck) -> None:
        self._folder = folder
        self._check = check
        self.service = service
        self.server = server

    def ask(self, method: str, path: str, body: bytes = b"") -> Reply:
        """The reply, which has come in time."""
        began = time.monotonic()
        reply = self.service.request(method, path, body, token=token("ada"))
        assert time.monotonic() - began < IN_TIME, path
        self._check.reply(method, path, reply)
        return reply

    def postmaster(self) -> psutil.Process:
        return psutil.Process(int((self._folder / "cluster" / "postmaster.pid").read_text().split()[0]))

    def start(self) -> None:
        """Brings the server back, at the same address."""
        url = self.server.url
        self.server = EmbeddedServer.start(self._folder)
        assert self.server.url == url


@pytest.fixture(scope="module")
def outage(check: ContractCheck) -> Iterator[Outage]:
    above = Path(tempfile.mkdtemp(prefix="test-outages-"))
    server = EmbeddedServer.start(above / "postgresql")
    with Live(above, DATABASE_URL=server.url, JWT_SECRET=SECRET) as service:
        service.ready()
        made = Outage(above / "postgresql", service, server, check)
        for _ in range(CONNECTIONS):
            assert made.ask("POST", TASKS, b'{"title": "before"}').status == 201
        yield made
        assert "Traceback" not in service.output()
        assert "unavailable: psycopg2.OperationalError: connection to server on socket " in service.output()
    made.server.stop()
    shutil.rmtree(above)


def unavailable(reply: Reply) -> tuple[int, str, str]:
    return reply.status, reply.code, reply.headers["retry-after"]


def assert_unavailable(outage: Outage) -> None:
    """Reads, writes, sign-in and readiness say 503 in time; liveness does not care."""
    for method, path, body in (
        ("GET", TASKS, b""),
        ("POST", TASKS, b'{"title": "during"}'),
        ("POST", "/api/v1/auth/token", b'{"email": "ada@example.com", "password": "correct horse battery"}'),
        ("GET", "/health/ready", b""),
    ):
        assert unavailable(outage.ask(method, path, body)) == (503, "unavailable", "1"), (method, path)
    assert outage.ask("GET", "/health/live").status == 200


def assert_back(outage: Outage, ways: list[tuple[Callable[[Outage], Reply], int]]) -> None:
    """Each way has its status soon; until then there is nothing but 503."""
    for way, status in ways:
        deadline = time.monotonic() + SLACK
        while (reply := way(outage)).status == 503 and time.monotonic() < deadline:
            time.sleep(0.1)
        assert reply.status == status, reply.body


def create(outage: Outage) -> Reply:
    return outage.ask("POST", TASKS, b'{"title": "after"}')


def ready(outage: Outage) -> Reply:
    return outage.ask("GET", "/health/ready")


def test_any_operation_database_stopped_is_503_and_serves_again_after_its_return(outage: Outage) -> None:
    outage.server.stop()
    assert_unavailable(outage)
    outage.start()
    assert_back(outage, [(create, 201), (ready, 200)])


def test_any_operation_database_killed_is_503_and_serves_again_after_its_return(outage: Outage) -> None:
    master = outage.postmaster()
    children = master.children()
    for process in (master, *children):
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs([master, *children], timeout=10)
    assert_unavailable(outage)
    outage.server.stop()
    outage.start()
    assert_back(outage, [(ready, 200), (create, 201)])


def test_any_operation_connections_ended_by_the_server_goes_unnoticed(outage: Outage) -> None:
    """As after a restart, or when a pooler sweeps: the very next requests succeed."""
    ended = 0
    for process in outage.postmaster().children():
        with suppress(psutil.Error):
            if "todo [local] idle" in " ".join(process.cmdline()):
                process.terminate()
                process.wait(5)
                ended += 1
    assert ended
    assert [create(outage).status for _ in range(CONNECTIONS)] == [201] * CONNECTIONS
