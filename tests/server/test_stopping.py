"""Stopping and starting: what runs is finished, what is new is refused, and workers and releases change without a lost request."""

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import psutil
import psycopg2
import pytest
from sqlalchemy.engine import make_url

from tests.support.credentials import SECRET, token
from tests.support.live import SLACK, Live, Wire
from tests.support.processes import gone, own_token, postmasters, soon
from todo_api.server import STOP_SECONDS

TASKS = "/api/v1/me/tasks"
LIVE = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"

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
    with Live(tmp_path, DATABASE_URL=url, JWT_SECRET=SECRET) as live:
        yield live.ready()


@contextmanager
def locked(url: str) -> Iterator[None]:
    """The tasks, locked by another session: who writes waits."""
    superuser = make_url(url).set(username="postgres", drivername="postgresql").render_as_string(hide_password=False)
    with closing(psycopg2.connect(superuser)) as connection, connection.cursor() as cursor:
        cursor.execute("LOCK TABLE tasks IN SHARE MODE")
        yield


def post(wire: Wire, title: str) -> None:
    """Sends a request that creates a task."""
    body = b'{"title": "%s"}' % title.encode()
    head = f"POST {TASKS} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token('ada')}\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    wire.send(head.encode() + body)


def live(wire: Wire) -> tuple[int, bool]:
    """The status of a reply on an open connection, and whether that stays open."""
    wire.send(LIVE)
    reply = wire.reply()
    return reply.status, reply.headers.get("connection") != "close"


def test_serve_terminated_finishes_what_runs_and_refuses_what_is_new(service: Live, url: str) -> None:
    with service.wire() as wire:
        with locked(url):
            post(wire, "runs")
            assert soon(lambda: "createTask" in service.request("GET", "/metrics").body.decode())
            time.sleep(0.3)  # the statement is on its way
            service.process.send_signal(signal.SIGTERM)
            assert soon(lambda: refused(service.port))
        reply = wire.reply()
        assert (reply.status, reply.json()["title"], reply.headers["connection"]) == (201, "runs", "close")
    assert service.process.wait(SLACK) == 0


def refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:  # refused, or reset on its way
        return True
    return False


def test_serve_terminated_answers_once_more_on_an_open_connection(service: Live) -> None:
    with service.wire() as wire:
        assert live(wire) == (200, True)
        service.process.send_signal(signal.SIGTERM)
        assert soon(lambda: refused(service.port))
        assert live(wire) == (200, False)
        assert wire.is_closed()
        assert service.process.wait(SLACK) == 0


def test_serve_terminated_with_a_request_that_does_not_end_stops_in_time(service: Live, url: str) -> None:
    with locked(url), service.wire() as first, service.wire() as second:
        post(first, "waits")
        second.send(b"POST " + TASKS.encode() + b" HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n{")
        time.sleep(0.3)
        began = time.monotonic()
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(SLACK) == 0
        assert time.monotonic() - began < STOP_SECONDS + 3


class Callers:
    """Clients that ask without a pause, on connections that they keep; each reply's status, or what came instead."""

    def __init__(self, port: int, count: int = 4) -> None:
        self.seen: list[int | str] = []
        self._port = port
        self._going = True
        self._threads = [threading.Thread(target=self._ask) for _ in range(count)]

    def _ask(self) -> None:
        wire = Wire(self._port)
        while self._going:
            try:
                wire.send(LIVE)
                reply = wire.reply()
                self.seen.append(reply.status)
                ended = reply.headers.get("connection") == "close"
            except OSError as error:
                self.seen.append(repr(error))
                ended = True
            if ended:
                wire.socket.close()
                wire = Wire(self._port)
            time.sleep(0.005)
        wire.socket.close()

    def __enter__(self) -> "Callers":
        for thread in self._threads:
            thread.start()
        assert soon(lambda: len(self.seen) > 20)
        return self

    def __exit__(self, *_: object) -> None:
        before = len(self.seen)
        assert soon(lambda: len(self.seen) > before + 20)
        self._going = False
        for thread in self._threads:
            thread.join(SLACK)
        assert set(self.seen) == {200}


def test_serve_hung_up_changes_its_workers_without_a_failed_request(service: Live) -> None:
    (old,) = service.workers()
    with Callers(service.port):
        service.process.send_signal(signal.SIGHUP)
        assert soon(lambda: gone(old))
    assert len(service.workers()) == 2
    assert service.end() == 0


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
    with Live(folder) as service:
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
    with Live(folder) as service:
        service.ready()
        bearer = own_token(folder)
        assert service.request("POST", TASKS, b'{"title": "kept"}', token=bearer).status == 201
        (master,) = postmasters(folder)
        for process in (master, *master.children()):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        began = time.monotonic()
        assert soon(lambda: service.request("GET", "/health/ready").status == 503, 2)
        assert soon(lambda: service.request("GET", TASKS, token=bearer).status == 200)
        assert time.monotonic() - began < 5
        assert service.request("GET", TASKS, token=bearer).json()["items"][0]["title"] == "kept"
        assert service.end() == 0
    assert postmasters(folder) == []


def test_serve_terminated_ends_quiet_connections_while_a_request_is_finished(service: Live) -> None:
    """What is ended for want of time takes the request with it: so it is in time if that is still answered."""
    body = b'{"title": "still sent"}'
    head = f"POST {TASKS} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token('ada')}\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    with service.wire() as used, service.wire() as unused, service.wire() as sending:
        assert live(used) == (200, True)
        sending.send(head.encode() + body[:1])
        assert soon(lambda: "createTask" in service.request("GET", "/metrics").body.decode())
        service.process.send_signal(signal.SIGTERM)
        assert used.is_closed()
        assert unused.is_closed()
        sending.send(body[1:])
        reply = sending.reply()
        assert (reply.status, reply.json()["title"]) == (201, "still sent")
    assert service.process.wait(SLACK) == 0
