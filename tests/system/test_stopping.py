"""Stopping and starting: what runs is finished, what is new is refused, and workers and releases change without a lost request."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.support.callers import Callers, refused
from tests.support.credentials import SECRET
from tests.support.live import COMMAND, SLACK, Live
from tests.support.processes import gone, own_token, postmasters, soon

TASKS = "/api/v1/me/tasks"

ON_A_SOCKET = """
import os, signal, socket, sys
listener = socket.create_server(("127.0.0.1", int(os.environ["PORT"])))
os.dup2(listener.fileno(), 3)
os.set_inheritable(3, True)
signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGTERM))
for _ in range(2):
    child = os.fork()
    if child == 0:
        os.environ |= {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())}
        os.execv(sys.argv[1], sys.argv[1:])
    status = os.waitpid(child, 0)[1]
sys.exit(status)
"""
"""What systemd does for a service with a socket of its own: SIGTERM restarts it, and a second one ends it."""


@pytest.fixture
def service(tmp_path: Path, url: str) -> Iterator[Live]:
    with Live(tmp_path, command=COMMAND, DATABASE_URL=url, JWT_SECRET=SECRET) as live:
        yield live.ready()


def test_serve_hung_up_twice_changes_its_workers_once(service: Live) -> None:
    (old,) = service.workers()
    service.process.send_signal(signal.SIGHUP)
    assert soon(lambda: len(service.workers()) == 2)
    service.process.send_signal(signal.SIGHUP)
    assert soon(lambda: "workers are being replaced already" in service.output())
    assert soon(lambda: gone(old))
    assert len(service.workers()) == 2


def test_serve_with_fewer_and_more_workers_on_signals(service: Live) -> None:
    service.process.send_signal(signal.SIGTTIN)
    assert soon(lambda: len(service.workers()) == 2)
    first, second = service.workers()
    service.process.send_signal(signal.SIGTTOU)
    assert soon(lambda: gone(first))
    assert not gone(second)
    service.ready()


def test_serve_a_new_release_takes_over_without_a_failed_request(folder: Path) -> None:
    """SIGUSR2: the new process has the socket and shares the embedded database; the old one leaves once it serves."""
    with Live(folder, command=COMMAND) as service:
        (old,) = service.ready().workers()
        bearer = own_token(folder)
        assert service.request("POST", TASKS, b'{"title": "kept"}', token=bearer).status == 201
        with Callers(service.port):
            service.process.send_signal(signal.SIGUSR2)
            assert service.process.wait(SLACK) == 0
        try:
            assert gone(old)
            assert service.request("GET", TASKS, token=bearer).json()["items"][0]["title"] == "kept"
            assert len(postmasters(folder)) == 1
        finally:
            os.killpg(service.process.pid, signal.SIGTERM)
        assert soon(lambda: refused(service.port))
    assert soon(lambda: not postmasters(folder))


def test_serve_on_a_socket_of_systemd_keeps_who_waits_through_a_restart(tmp_path: Path, url: str) -> None:
    prefix = [sys.executable, "-c", ON_A_SOCKET]
    with Live(tmp_path, prefix=prefix, DATABASE_URL=url, JWT_SECRET=SECRET) as service:
        (first,) = service.ready().workers()
        with Callers(service.port):
            service.process.send_signal(signal.SIGTERM)
            assert soon(lambda: gone(first) and len(service.workers()) == 2)
            service.ready()
        assert service.end() == 0


def test_serve_embedded_database_that_was_killed_is_started_again(folder: Path) -> None:
    with Live(folder, command=COMMAND) as service:
        service.ready()
        bearer = own_token(folder)
        assert service.request("POST", TASKS, b'{"title": "kept"}', token=bearer).status == 201
        (master,) = postmasters(folder)
        for process in (master, *master.children()):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        assert soon(lambda: service.request("GET", TASKS, token=bearer).status == 200)
        assert service.request("GET", TASKS, token=bearer).json()["items"][0]["title"] == "kept"
        assert service.end() == 0
    assert postmasters(folder) == []
