"""Stopping and starting: what runs is finished, what is new is refused, and workers and releases change without a lost request."""

import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg2
import pytest

from tests.support.callers import Callers, live, refused
from tests.support.credentials import SECRET, token
from tests.support.live import SLACK, Live, Wire
from tests.support.locks import somebody_waits
from tests.support.processes import gone, soon
from tests.support.rows import superuser_url

TASKS = "/api/v1/me/tasks"


@pytest.fixture
def service(tmp_path: Path, url: str) -> Iterator[Live]:
    """A service that gives clients more time than a test has."""
    limits = dict.fromkeys(("HEAD_TIMEOUT", "BODY_TIMEOUT", "IDLE_TIMEOUT"), "300")
    with Live(tmp_path, DATABASE_URL=url, JWT_SECRET=SECRET, **limits) as live:
        yield live.ready()


@contextmanager
def locked(url: str) -> Iterator[None]:
    """The tasks, locked by another session: who writes waits."""
    with closing(psycopg2.connect(superuser_url(url))) as connection, connection.cursor() as cursor:
        cursor.execute("LOCK TABLE tasks IN SHARE MODE")
        yield


def post(wire: Wire, title: str) -> None:
    """Sends a request that creates a task."""
    body = b'{"title": "%s"}' % title.encode()
    head = f"POST {TASKS} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token('ada')}\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    wire.send(head.encode() + body)


def test_serve_terminated_finishes_what_runs_and_refuses_what_is_new(service: Live, url: str) -> None:
    with service.wire() as wire:
        with locked(url):
            post(wire, "runs")
            assert somebody_waits(url)
            service.process.send_signal(signal.SIGTERM)
            assert soon(lambda: refused(service.port))
        reply = wire.reply()
        assert (reply.status, reply.json()["title"], reply.headers["connection"]) == (201, "runs", "close")
    assert service.process.wait(SLACK) == 0


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
        assert somebody_waits(url)
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(SLACK) == 0


def test_serve_hung_up_changes_its_workers_without_a_failed_request(service: Live) -> None:
    (old,) = service.workers()
    with Callers(service.port):
        service.process.send_signal(signal.SIGHUP)
        assert soon(lambda: gone(old))
    assert len(service.workers()) == 2
    assert service.end() == 0


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
