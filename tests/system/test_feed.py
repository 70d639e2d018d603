"""Readers who follow the feed of the real server while its database is killed, and while it is restored from a backup."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from threading import Event

import pytest

from tests.support.client import Reply
from tests.support.credentials import SECRET, token
from tests.support.feed import CHANGES, OPERATIONS, TASKS, Reader, Writer, followed, listed, readers, written
from tests.support.live import Live, run
from tests.support.processes import kill_database, soon

WRITERS = 8
WRITES = 120
"""Writes between two things that happen."""


class Service:
    """The service with its embedded database, as one user reaches it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._live: Live | None = None
        self._token = token("ada")
        self.writes = 0
        """Number of writes that were acknowledged."""

    def start(self) -> None:
        self._live = Live(self._folder, "--workers", "2", RATE_LIMIT="off", JWT_SECRET=SECRET).ready()

    def stop(self) -> None:
        if self._live:
            self._live.__exit__()

    def ask(self, method: str, path: str, body: object = None) -> Reply | None:
        """The reply, None if none came."""
        content = b"" if body is None else json.dumps(body).encode()
        reply = None
        with suppress(OSError):
            assert self._live
            reply = self._live.request(method, path, content, token=self._token)
        if reply and method != "GET" and reply.status < 300:
            self.writes += 1
        return reply

    def create(self) -> int:
        """Create a task, and return its version."""
        reply = self.ask("POST", TASKS, {"title": "Numbered"})
        assert reply is not None
        return int(reply.json()["version"])

    def after_more_writes(self) -> None:
        """Return when so many more are acknowledged."""
        before = self.writes
        assert soon(lambda: self.writes >= before + WRITES)

    def kill_database(self) -> None:
        """Kill every process of it, and return when the service has it again."""
        kill_database(self._folder)
        self.after_more_writes()


@pytest.fixture
def service(folder: Path) -> Iterator[Service]:
    made = Service(folder)
    made.start()
    try:
        yield made
    finally:
        made.stop()


@contextmanager
def at_work(service: Service) -> Iterator[list[Reader]]:
    """Writers, and the readers, who have taken the rest after the `with`."""
    seed = Random().getrandbits(32)  # noqa: S311  # no secret
    print(f"seed {seed}")  # it stands below the test if it fails
    following = readers(service.ask, seed)
    writers = [Writer(service.ask, seed - number) for number in range(WRITERS)]
    stopped = Event()
    with followed(following), ThreadPoolExecutor(1) as pool:
        writing = pool.submit(written, writers, lambda _: not stopped.is_set())
        try:
            yield following
        finally:
            stopped.set()
        statuses = writing.result()
    assert statuses & {0, 503}  # an outage was noticed
    assert {200, 201, 204} < statuses <= {0, 200, 201, 204, 400, 404, 409, 503}
    assert set().union(*(each.done for each in writers)) == {each.__name__ for each in OPERATIONS}


def test_list_changes_beside_writers_while_the_database_is_killed_twice_gives_what_the_server_has(
    service: Service,
) -> None:
    with at_work(service) as following:
        for _ in range(2):
            service.after_more_writes()
            service.kill_database()
    expected = listed(service.ask)
    for reader in following:
        assert (reader.tasks, reader.projects) == expected
        assert reader.resyncs == 0


def test_list_changes_beside_writers_across_a_restored_backup_is_410_and_then_gives_what_the_server_has(
    service: Service, folder: Path
) -> None:
    """A version that was given out before names no other content: the readers have kept what each was."""
    with at_work(service) as following:
        service.after_more_writes()
        assert run("backup", "tasks.backup", cwd=folder).returncode == 0
        service.after_more_writes()
        before, last = service.ask("GET", f"{CHANGES}?limit=1"), service.create()
        service.stop()
        assert run("restore", "--overwrite", "tasks.backup", cwd=folder).returncode == 0
        service.start()
        assert service.create() > last
        service.after_more_writes()
    assert before is not None
    old = service.ask("GET", f"{CHANGES}?since={before.json()['next']}")
    assert old is not None
    assert (old.status, old.code) == (410, "resync_required")
    expected = listed(service.ask)
    for reader in following:
        assert (reader.tasks, reader.projects) == expected
        assert reader.resyncs <= 1
    assert any(reader.resyncs for reader in following)
