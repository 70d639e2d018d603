"""Limits on what clients may use, over real sockets: time, connections, and turns."""

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from functools import partial
from typing import Any

import psycopg2
import pytest

from tests.support.client import Reply
from tests.support.contract_check import ContractCheck
from tests.support.credentials import SECRET, token
from tests.support.every_operation import IDS
from tests.support.live import SLACK, Live, Wire
from tests.support.locks import somebody_waits
from tests.support.metrics import rise, scrape_at_rest
from tests.system.faults.slow_clients import slow_clients
from todo_api import contract

TASKS = "/api/v1/me/tasks"
BUSY = 7
"""Seconds that a machine with other work may add; no limit that is the usual one is reached in them."""

LIVE = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
MANY = 20
TASK_API = contract.load(contract.TASK_API)
TIMED = [
    (method, template)
    for template, item in TASK_API["paths"].items()
    for method, operation in item.items()
    if method != "parameters" and "408" in operation["responses"]
]


@pytest.fixture(scope="module")
def live(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A service with short limits, and one thread."""
    limits = dict.fromkeys(("HEAD_TIMEOUT", "BODY_TIMEOUT", "IDLE_TIMEOUT"), "1")
    turns = {"THREADS": "1", "CLIENT_CONNECTIONS": str(MANY), "LOG_FORMAT": "json"}
    folder = tmp_path_factory.mktemp("limits")
    with Live(folder, DATABASE_URL=url, JWT_SECRET=SECRET, **limits, **turns) as service:
        yield service.ready()
        assert "Traceback" not in service.output()


@pytest.fixture
def head() -> str:
    """The header fields of a user of one's own."""
    return f"Host: localhost\r\nAuthorization: Bearer {token('ada')}\r\nContent-Type: application/json\r\n"


def drip(wire: Wire, content: bytes, seconds: float) -> None:
    """Sends a byte each tenth of a second, as long as it can."""
    until = time.monotonic() + seconds
    for byte in content:
        if time.monotonic() > until:
            return
        try:
            wire.send(bytes([byte]))
        except OSError:
            return
        time.sleep(0.1)


def told(reply: Reply) -> tuple[int, str, str]:
    return reply.status, reply.code, reply.headers["connection"]


@pytest.mark.parametrize("before", [b"", LIVE], ids=["first", "second"])
def test_any_head_that_takes_too_long_is_408(live: Live, check: ContractCheck, before: bytes) -> None:
    with live.wire() as wire:
        began = time.monotonic()
        if before:
            wire.send(before)
            assert wire.reply().status == 200
        drip(wire, LIVE[:-1], 1.5)
        reply = wire.reply()
        assert 0.9 < time.monotonic() - began < 1.5 + BUSY
        check.reply("GET", "", reply)
        assert told(reply) == (408, "request_timeout", "close")
        assert wire.is_closed()


def test_any_connection_without_a_byte_is_closed_without_a_word(live: Live) -> None:
    began = time.monotonic()
    with live.wire() as wire:
        assert wire.is_closed()
    assert 0.9 < time.monotonic() - began < 1 + BUSY


def test_any_connection_idle_after_a_reply_is_closed_without_a_word(live: Live) -> None:
    with live.wire() as wire:
        began = time.monotonic()
        wire.send(LIVE)
        assert wire.reply().status == 200
        assert wire.is_closed()
        assert 0.9 < time.monotonic() - began < 1 + BUSY


@pytest.fixture(scope="module")
def timed(live: Live) -> dict[tuple[str, str], tuple[float, Reply]]:
    """Of each operation with a body that takes too long, sent all at once: the seconds it took, and the reply."""
    head = f"Host: localhost\r\nAuthorization: Bearer {token('ada')}\r\nContent-Type: application/json\r\n"

    def send(method: str, template: str) -> tuple[float, Reply]:
        with live.wire() as wire:
            began = time.monotonic()
            wire.send(f"{method.upper()} {path_of(template)} HTTP/1.1\r\n{head}Content-Length: 50\r\n\r\n".encode())
            drip(wire, b'{"title": "Buy milk"' + b" " * 20, 1.5)
            reply = wire.reply()
            return time.monotonic() - began, reply

    at_once = MANY // 2  # of one address
    with ThreadPoolExecutor(at_once) as threads:
        return dict(zip(TIMED, threads.map(lambda each: send(*each), TIMED), strict=True))


def path_of(template: str) -> str:
    return "/api/v1" + template.format(user_id="me", **IDS)


@pytest.mark.parametrize(("method", "template"), TIMED, ids=[" ".join(each) for each in TIMED])
def test_operation_with_a_body_that_takes_too_long_is_408(
    timed: dict[tuple[str, str], tuple[float, Reply]], check: ContractCheck, method: str, template: str
) -> None:
    took, reply = timed[method, template]
    assert 0.9 < took < 1.5 + BUSY
    check.reply(method.upper(), path_of(template), reply)
    assert (reply.status, reply.code) == (408, "request_timeout")


def test_list_tasks_reply_that_is_not_read_ends_the_connection(live: Live, head: str) -> None:
    body = json.dumps({"title": "Long", "description": "x" * 5000}).encode()
    for _ in range(40):
        assert live.request("POST", TASKS, body, token=token("unread")).status == 201
    asked = f"GET {TASKS}?limit=1000 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token('unread')}\r\n\r\n"
    with live.wire() as wire:
        wire.send(asked.encode() * 100)  # 20 MB, which no buffer of a socket takes
        assert eventually(lambda: [each for each in lines(live, "listTasks", 200) if each["duration_ms"] > 900])
        read_to_the_end(wire)


def read_to_the_end(wire: Wire) -> None:
    """Read until the server closes or resets the connection. Raise TimeoutError if it does not."""
    with suppress(ConnectionError):
        while wire.socket.recv(1 << 20):
            pass


def test_any_connection_beyond_the_limit_takes_the_place_of_one_that_waits(live: Live) -> None:
    wires = [live.wire() for _ in range(MANY + 5)]
    try:
        wires[-1].send(LIVE)
        assert wires[-1].reply().status == 200
        assert wires[0].is_closed()
    finally:
        for wire in wires:
            wire.socket.close()


@contextmanager
def locked(url: str) -> Iterator[Callable[[], None]]:
    """Nobody else gets at the tasks, until the given function is called."""
    with closing(psycopg2.connect(url)) as database:
        database.cursor().execute("LOCK TABLE tasks")
        yield database.rollback


def lines(live: Live, operation: str, status: int) -> list[dict[str, Any]]:
    """The lines of the log of such requests."""
    parsed = [json.loads(line) for line in live.output().splitlines() if line.startswith("{")]
    return [line for line in parsed if line.get("operation") == operation and line["status"] == status]


def eventually(found: Callable[[], Any]) -> Any:
    """What it gives, once that is something."""
    until = time.monotonic() + SLACK
    while not (value := found()) and time.monotonic() < until:
        time.sleep(0.05)
    return value


def post(head: str, title: str) -> bytes:
    body = json.dumps({"title": title})
    return f"POST {TASKS} HTTP/1.1\r\n{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()


def test_create_task_beyond_what_can_be_served_is_503_in_time_and_health_answers(
    live: Live, url: str, check: ContractCheck
) -> None:
    before = scrape_at_rest(live)
    with locked(url) as unlock, ThreadPoolExecutor(2) as threads:
        send = partial(threads.submit, live.request, "POST", TASKS, token=token("busy"))
        begun = send(body=b'{"title": "waited 0"}')
        assert somebody_waits(url)
        waiting = [begun, send(body=b'{"title": "waited 1"}')]  # the first has the thread, the second waits for it
        reply = live.request("POST", TASKS, b'{"title": "shed"}', token=token("busy"))
        check.reply("POST", TASKS, reply)
        assert (reply.status, reply.code, reply.headers["retry-after"]) == (503, "overloaded", "1")
        assert live.request("GET", "/health/live").status == 200
        assert live.request("GET", "/health/ready").status == 200
        unlock()
        first, second = (each.result() for each in waiting)
        assert (first.status, second.status, second.code) == (201, 503, "overloaded")  # which was not begun either
    assert live.request("POST", TASKS, b'{"title": "after"}', token=token("busy")).status == 201
    titles = {task["title"] for task in live.request("GET", TASKS, token=token("busy")).json()["items"]}
    assert titles == {"waited 0", "after"}
    assert rise(before, scrape_at_rest(live), "todo_api_rejections_total") == {("overloaded",): 2}


def test_create_task_whose_sender_leaves_is_logged_and_counted_499_with_what_it_spent(
    live: Live, url: str, head: str
) -> None:
    before = scrape_at_rest(live)
    with locked(url) as unlock:
        with live.wire() as wire:
            wire.send(post(head, "left while it ran"))
            assert somebody_waits(url)
            wire.reset()
        time.sleep(0.3)  # which the database takes
        assert live.request("GET", "/health/live").status == 200  # so it has seen them leave
        unlock()
        (line,) = eventually(lambda: [line for line in lines(live, "createTask", 499) if line["statements"]])
    assert line["statements"] == 1
    assert line["database_ms"] >= 300
    assert "code" not in line
    counted = rise(before, scrape_at_rest(live), "todo_api_request_duration_seconds_count")
    assert counted["createTask", "499"] == 1


def test_create_task_whose_sender_leaves_before_its_turn_is_not_done(live: Live, url: str) -> None:
    fields = f"Host: localhost\r\nAuthorization: Bearer {token('leaver')}\r\nContent-Type: application/json\r\n"
    before = scrape_at_rest(live)

    def leave() -> list[dict[str, Any]]:
        """The lines of those who left; one who was refused before had waited for too long."""
        with live.wire() as second:
            second.send(post(fields, "never"))
            time.sleep(0.05)
            second.reset()
        time.sleep(0.05)
        return [line for line in lines(live, "createTask", 499) if not line["statements"]]

    with locked(url) as unlock, live.wire() as first:
        first.send(post(fields, "first"))
        assert somebody_waits(url)
        left = eventually(leave)
        unlock()
        assert first.reply().status == 201
    assert [task["title"] for task in live.request("GET", TASKS, token=token("leaver")).json()["items"]] == ["first"]
    assert left
    counted = rise(before, scrape_at_rest(live), "todo_api_request_duration_seconds_count")
    assert counted["createTask", "499"] >= 1


def test_list_tasks_beside_two_hundred_slow_clients_is_answered(
    url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("slow")
    limits = {"HEAD_TIMEOUT": "2", "BODY_TIMEOUT": "2"}
    with Live(folder, DATABASE_URL=url, JWT_SECRET=SECRET, **limits) as service:
        service.ready()
        refused = 0
        deadline = time.monotonic() + SLACK
        while refused < 200 and time.monotonic() < deadline:
            seen = slow_clients(service.port, token("ada"), clients=200, seconds=6)
            assert set(seen.statuses) == {200}
            assert seen.slow >= 200
            refused += seen.refused
    assert refused >= 200
    assert seen.p95 < BUSY
