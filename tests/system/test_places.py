"""Places and bytes of a worker: who makes room for whom, and what unread replies may hold."""

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest

from tests.support.client import Reply
from tests.support.credentials import SECRET, token
from tests.support.live import Live, Wire
from tests.support.processes import soon
from todo_api.site import assets

PLACES = 20
SHARE = PLACES // 2
LIVE = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
PAGE = b"GET /api/v1/openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
WAITING = {
    "nothing": b"",
    "half a head": LIVE[:-2],
    "a request line": b"GET / HTTP/1.1\r\n",
    "an unsent body": b"POST /nope HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n",
    "an unsent body of an operation": b"POST /api/v1/auth/token HTTP/1.1\r\nHost: localhost\r\n"
    b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
    "an unsent chunk": b"POST /nope HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n",
    "unread replies": PAGE * 40,
    "idle": LIVE,
}
"""Requests of a client that then makes no progress."""


@pytest.fixture(scope="module")
def live(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    settings = {"CLIENT_CONNECTIONS": str(PLACES), "RATE_LIMIT": "off"}
    with Live(tmp_path_factory.mktemp("places"), DATABASE_URL=url, JWT_SECRET=SECRET, **settings) as service:
        yield service.ready()
        assert "Traceback" not in service.output()


@contextmanager
def crowd(live: Live, count: int, content: bytes, *hosts: str) -> Iterator[list[Wire]]:
    """So many connections from each of these addresses, one after another, that have sent that."""
    with ExitStack() as stack:
        wires = [stack.enter_context(live.wire(host)) for _ in range(count) for host in hosts]
        for wire in wires:
            try:
                wire.send(content)
            except ConnectionError:
                continue  # it has made room already
        time.sleep(0.3)  # so that all of it is read
        yield wires


def asked(live: Live, host: str, content: bytes = LIVE) -> Reply:
    with live.wire(host) as wire:
        wire.send(content)
        return wire.reply()


def is_there(wire: Wire) -> bool:
    """Return whether the connection is open."""
    wire.socket.settimeout(0.05)
    try:
        while wire.socket.recv(65536):
            pass
    except TimeoutError:
        return True
    except ConnectionError:
        return False
    return False


@pytest.mark.parametrize("kind", WAITING)
def test_any_newcomer_takes_the_place_of_whoever_made_no_progress_for_longest_whatever_for(
    live: Live, kind: str
) -> None:
    """From two addresses, so that neither has more than its share."""
    with crowd(live, SHARE, WAITING[kind], "127.0.0.2", "127.0.0.3") as wires:
        # Nobody makes room before the worker has read what they sent, and has replied as far as they read.
        nowhere = b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n"
        assert soon(lambda: asked(live, "127.0.0.4", nowhere).status == 404)
        replies = [asked(live, "127.0.0.4", nowhere) for _ in range(5)]
        assert [reply.status for reply in replies] == [404] * 5
        assert asked(live, "127.0.0.2").status == 200
        if kind != "unread replies":  # which are read by looking
            assert not is_there(wires[0])
            assert is_there(wires[-1])


@pytest.mark.parametrize("kind", WAITING)
def test_any_crowd_of_one_address_takes_no_place_of_others_and_health_is_answered(live: Live, kind: str) -> None:
    with crowd(live, 2, LIVE[:-2], "127.0.0.5") as others, crowd(live, 5 * PLACES, WAITING[kind], "127.0.0.2"):
        assert asked(live, "127.0.0.2").status == 200
        assert asked(live, "127.0.0.6").status == 200
        for wire in others:
            wire.send(b"\r\n")
            assert wire.reply().status == 200


def test_any_address_of_a_trusted_proxy_has_more_than_a_share(url: str, tmp_path: Path) -> None:
    settings = {"CLIENT_CONNECTIONS": str(PLACES), "TRUSTED_PROXIES": "127.0.0.1"}
    with Live(tmp_path, DATABASE_URL=url, JWT_SECRET=SECRET, **settings) as service:
        service.ready()
        with crowd(service, PLACES - 2, LIVE[:-2], "127.0.0.1") as wires:
            assert all(map(is_there, wires))


def memory(live: Live) -> int:
    return int(psutil.Process(live.workers()[-1]).memory_info().rss)


@pytest.fixture(scope="module")
def roomy(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    settings = {"RATE_LIMIT": "off", "QUEUE_LIMIT": "60000"}  # however slow the machine
    with Live(tmp_path_factory.mktemp("roomy"), DATABASE_URL=url, JWT_SECRET=SECRET, **settings) as service:
        yield service.ready()
        assert "Traceback" not in service.output()


def heavy_tasks(live: Live) -> bytes:
    """The request for a page of 2 MiB."""
    bearer = token("heavy")
    body = b'{"title": "heavy", "description": "%b"}' % (b"x" * 5000)
    with live.wire() as wire:
        for _ in range(450):
            wire.send(
                f"POST /api/v1/me/tasks HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {bearer}\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
                + body
            )
            assert wire.reply("POST").status == 201
    return f"GET /api/v1/me/tasks?limit=1000 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {bearer}\r\n\r\n".encode()


def test_list_tasks_unread_by_many_is_bounded_in_bytes_and_the_memory_comes_back(roomy: Live) -> None:
    asking = heavy_tasks(roomy)
    with ThreadPoolExecutor(12) as threads:  # as many at once as a worker has threads
        for reply in threads.map(lambda _: asked(roomy, "127.0.0.1", asking), range(60)):
            assert reply.status in {200, 503}  # 503 if twelve at once are more than the queue takes
    time.sleep(1)
    before = memory(roomy)
    most = before
    with ExitStack() as stack:
        for number in range(150):
            wire = stack.enter_context(roomy.wire(f"127.0.0.{2 + number % 5}"))
            wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            wire.send(asking)
            most = max(most, memory(roomy))
        until = time.monotonic() + 5
        while time.monotonic() < until:
            most = max(most, memory(roomy))
            time.sleep(0.1)
        assert asked(roomy, "127.0.0.9").status == 200
    assert most < before + 160 * 1024 * 1024, (before, most)
    assert soon(lambda: memory(roomy) < before * 1.1), (before, most, memory(roomy))


def test_page_unread_by_many_shares_one_copy(roomy: Live) -> None:
    script = b"GET %b HTTP/1.1\r\nHost: localhost\r\n\r\n" % assets.addresses()["swagger-ui-bundle.js"].encode()
    assert asked(roomy, "127.0.0.1", script).status == 200
    before = memory(roomy)
    with crowd(roomy, 30, script, *(f"127.0.0.{number}" for number in range(2, 7))):
        assert memory(roomy) < before + 60 * 1024 * 1024, (before, memory(roomy))
    assert soon(lambda: memory(roomy) < before * 1.1), (before, memory(roomy))


def test_list_tasks_of_clients_that_leave_before_the_reply_leaves_no_bytes_behind(roomy: Live) -> None:
    asking = heavy_tasks(roomy)
    for _ in range(100):
        with roomy.wire() as wire:
            wire.send(asking)
            time.sleep(0.005)  # so that it is begun
            wire.reset()
    assert soon(lambda: asked(roomy, "127.0.0.1", asking).status == 200)
    with ExitStack() as stack:
        wires = [stack.enter_context(roomy.wire()) for _ in range(5)]
        for wire in wires:
            wire.send(asking)
        assert {wire.reply().status for wire in wires} == {200}
