"""Overload through HTTP: who waits, who is refused and when, and what is said of it."""

import asyncio
import json
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import psycopg2
import pytest

from tests.support.client import event_loop
from tests.support.clock import TICK
from tests.support.contract_check import ContractCheck
from tests.support.credentials import SECRET, token
from tests.support.databases import execute
from tests.support.live import SLACK, Live
from todo_api.app import create_app
from todo_api.config import Config
from todo_api.models import USER_ROLE

TASKS = "/api/v1/me/tasks"
LIMIT = 0.3
"""Seconds that a request may wait here."""


@pytest.fixture(scope="module")
def live(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A service with two slots."""
    settings = {"THREADS": "2", "QUEUE_LIMIT": str(int(LIMIT * 1000)), "LOG_FORMAT": "json", "RATE_LIMIT": "off"}
    with Live(tmp_path_factory.mktemp("overload"), DATABASE_URL=url, JWT_SECRET=SECRET, **settings) as service:
        yield service.ready()
        assert "Traceback" not in service.output()


@contextmanager
def locked(url: str, user: str) -> Iterator[Callable[[], None]]:
    """Nobody changes anything of the user's, until the given function is called."""
    with closing(psycopg2.connect(url)) as database, database.cursor() as cursor:
        cursor.execute(f"SELECT set_config('app.user_id', %s, true); SET LOCAL ROLE {USER_ROLE}", (user,))
        cursor.execute("SELECT 1 FROM users WHERE id = %s FOR UPDATE", (user,))
        assert cursor.fetchall() == [(1,)]
        yield database.rollback


def running(url: str, user: str) -> int:
    """How many statements of the service wait for the user's lock."""
    with closing(psycopg2.connect(url)) as database, database.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
            " AND position(%s IN query) > 0",
            (user,),
        )
        return int(cursor.fetchall()[0][0])


def until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + SLACK
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def lines(live: Live, request_id: str) -> list[dict[str, Any]]:
    """The lines of the log of a request."""
    parsed = [json.loads(line) for line in live.output().splitlines() if line.startswith("{")]
    return [line for line in parsed if line.get("request_id") == request_id and line["event"] == "request"]


def create(live: Live, user: str, title: str, *fields: str) -> Any:
    return live.request("POST", TASKS, json.dumps({"title": title}).encode(), *fields, token=token(user))


def titles(live: Live, user: str) -> set[str]:
    return {task["title"] for task in live.request("GET", TASKS, token=token(user)).json()["items"]}


def test_create_task_beyond_the_users_share_waits_for_the_limit_and_others_go_on(
    live: Live, url: str, check: ContractCheck
) -> None:
    create(live, "heavy", "before")
    with locked(url, "heavy") as unlock, ThreadPoolExecutor(1) as threads:
        stuck = threads.submit(create, live, "heavy", "stuck")
        until(lambda: running(url, "heavy"))
        began = time.monotonic()
        refused = create(live, "heavy", "refused", "X-Request-ID: refused")
        waited = time.monotonic() - began
        check.reply("POST", TASKS, refused)
        assert (refused.status, refused.code, refused.headers["retry-after"]) == (503, "overloaded", "1")
        assert waited >= LIMIT
        for number in range(5):
            assert create(live, "light", f"light {number}").status == 201
        unlock()
        assert stuck.result().status == 201
    assert titles(live, "heavy") == {"before", "stuck"}
    until(lambda: lines(live, "refused"))
    (line,) = lines(live, "refused")
    assert (line["operation"], line["status"], line["code"], line["statements"]) == (
        "createTask",
        503,
        "overloaded",
        0,
    )
    assert LIMIT * 1000 <= line["duration_ms"] < (waited + SLACK) * 1000


def test_create_task_that_waits_for_less_than_the_limit_is_done(url: str, tmp_path: Any) -> None:
    settings = {"THREADS": "1", "QUEUE_LIMIT": "60000"}
    with Live(tmp_path, DATABASE_URL=url, JWT_SECRET=SECRET, **settings) as live, ThreadPoolExecutor(4) as threads:
        create(live.ready(), "patient", "before")
        with locked(url, "patient") as unlock:
            sent = [threads.submit(create, live, "patient", f"waited {number}") for number in range(4)]
            until(lambda: running(url, "patient"))
            unlock()
        assert [each.result().status for each in sent] == [201] * 4


def test_create_task_refused_leaves_its_connection_to_the_next_request(live: Live, url: str) -> None:
    create(live, "kept", "before")
    body = b'{"title": "again"}'
    fields = f"Host: localhost\r\nAuthorization: Bearer {token('kept')}\r\nContent-Type: application/json\r\n"
    asked = f"POST {TASKS} HTTP/1.1\r\n{fields}Content-Length: {len(body)}\r\n\r\n".encode() + body
    with locked(url, "kept") as unlock, ThreadPoolExecutor(1) as threads, live.wire() as wire:
        stuck = threads.submit(create, live, "kept", "stuck")
        until(lambda: running(url, "kept"))
        wire.send(asked)
        assert wire.reply("POST").status == 503
        unlock()
        assert stuck.result().status == 201
        wire.send(asked)
        assert wire.reply("POST").status == 201


@contextmanager
def full(live: Live, url: str) -> Iterator[None]:
    """Both slots are taken, by two users who wait for the database."""
    for user in ("one", "two"):
        create(live, user, "before")
    with locked(url, "one") as unlock_one, locked(url, "two") as unlock_two, ThreadPoolExecutor(2) as threads:
        stuck = [threads.submit(create, live, user, "stuck") for user in ("one", "two")]
        until(lambda: running(url, "one") and running(url, "two"))
        yield
        unlock_one()
        unlock_two()
        assert [each.result().status for each in stuck] == [201, 201]


def test_list_tasks_that_is_refused_gets_the_fields_of_every_problem(
    live: Live, url: str, check: ContractCheck
) -> None:
    unknown = live.request("GET", f"{TASKS}/none", token=token("refused"))
    with full(live, url):
        refused = live.request("GET", TASKS, b"", "X-Request-ID: kept", token=token("refused"))
    check.reply("GET", TASKS, refused)
    assert {name for name, _ in refused.header_list} == {name for name, _ in unknown.header_list} | {"retry-after"}
    named = ("date", "cache-control", "content-type", "vary", "x-content-type-options")
    assert {name: refused.headers[name] for name in named[1:]} == {name: unknown.headers[name] for name in named[1:]}
    assert (refused.headers["x-request-id"], refused.json()["request_id"]) == ("kept", "kept")


def test_list_tasks_that_is_refused_says_how_its_connection_goes_on(live: Live, url: str) -> None:
    fields = f"Host: localhost\r\nAuthorization: Bearer {token('refused')}\r\n"
    with full(live, url), live.wire() as wire, live.wire() as half_closed:
        half_closed.send(f"GET {TASKS} HTTP/1.1\r\n{fields}\r\n".encode())
        half_closed.socket.shutdown(socket.SHUT_WR)
        head = f"HEAD {TASKS} HTTP/1.1\r\n{fields}\r\n".encode()
        wire.send(head + f"GET {TASKS} HTTP/1.1\r\n{fields}Connection: close\r\n\r\n".encode())
        first, second = wire.reply("HEAD"), wire.reply()
        assert (first.status, second.status, half_closed.reply().status) == (503, 503, 503)
        assert int(first.headers["content-length"]) == len(second.body)
        assert ("connection" in first.headers, second.headers["connection"]) == (False, "close")
        assert wire.is_closed()
        assert half_closed.is_closed()


def test_health_metrics_and_pages_are_answered_however_many_wait(live: Live, url: str) -> None:
    with full(live, url), ExitStack() as stack:
        waiting = [stack.enter_context(live.wire()) for _ in range(20)]
        for number, wire in enumerate(waiting):
            wire.send(
                f"GET {TASKS} HTTP/1.1\r\nHost: localhost\r\n"
                f"Authorization: Bearer {token(f'waiting{number}')}\r\n\r\n".encode()
            )
        for path in ("/health/live", "/health/ready", "/metrics", "/api/v1/openapi.yaml"):
            assert live.request("GET", path).status == 200, path
        assert live.request("GET", "/api/v1/nothing").status == 404
        assert {wire.reply().status for wire in waiting} == {503}  # and are counted before the next test counts


def test_list_tasks_that_is_refused_is_counted(live: Live, url: str) -> None:
    name = 'todo_api_request_duration_seconds_count{operation="listTasks",status="503"}'
    codes = 'todo_api_rejections_total{code="overloaded"}'

    def counted() -> list[float]:
        text = live.request("GET", "/metrics").body.decode()
        return [
            float((re.findall(rf"^{re.escape(each)} (\S+)$", text, re.MULTILINE) or [0])[0]) for each in (name, codes)
        ]

    before = counted()
    with full(live, url):
        for _ in range(3):
            assert live.request("GET", TASKS, token=token("counted")).status == 503
    until(lambda: counted() == [number + 3 for number in before])


def test_list_tasks_whose_client_leaves_while_it_waits_is_told_as_499(url: str, tmp_path: Any) -> None:
    settings = {"THREADS": "2", "QUEUE_LIMIT": "60000", "LOG_FORMAT": "json"}
    with Live(tmp_path, DATABASE_URL=url, JWT_SECRET=SECRET, **settings) as live, full(live.ready(), url):
        with live.wire() as wire:
            wire.send(f"GET {TASKS} HTTP/1.1\r\nHost: localhost\r\nX-Request-ID: left\r\n\r\n".encode())
            assert live.request("GET", "/health/live").status == 200  # it has been read by now
            wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        until(lambda: lines(live, "left"))
        (line,) = lines(live, "left")
    assert (line["status"], line["operation"], line["statements"]) == (499, "listTasks", 0)


def test_list_tasks_of_a_browser_that_is_refused_may_be_read_by_its_page(url: str, tmp_path: Any) -> None:
    origin = "https://app.example.com"
    settings = {"THREADS": "2", "QUEUE_LIMIT": "100", "CORS_ORIGINS": origin}
    fields = {origin: [f"Origin: {origin}"], "foreign": ["Origin: https://foreign.example.com"], "none": []}
    with Live(tmp_path, DATABASE_URL=url, JWT_SECRET=SECRET, **settings) as live, full(live.ready(), url):
        refused = {name: live.request("GET", TASKS, b"", *sent, token=token("b")) for name, sent in fields.items()}
    for name, reply in refused.items():
        assert (reply.status, reply.code) == (503, "overloaded")
        assert reply.headers.get("access-control-allow-origin") == (origin if name == origin else None)
        assert ("access-control-expose-headers" in reply.headers) == (name == origin)
        assert sorted(value for field, value in reply.header_list if field == "vary") == ["Authorization", "Origin"]


def test_get_task_with_an_api_key_waits_for_its_look_up_as_all_others_do(
    live: Live, url: str, check: ContractCheck
) -> None:
    expires = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
    wanted = json.dumps({"name": "script", "scopes": ["tasks:read"], "expires_at": expires}).encode()
    made = live.request("POST", "/api/v1/me/keys", wanted, token=token("keyholder"))
    assert made.status == 201, made.body
    for user in ("one", "two"):
        create(live, user, "before")
    with locked(url, "one") as unlock_one, locked(url, "two") as unlock_two, ThreadPoolExecutor(2) as threads:
        stuck = [threads.submit(create, live, user, "stuck") for user in ("one", "two")]
        until(lambda: running(url, "one") and running(url, "two"))
        refused = live.request("GET", TASKS, token=made.json()["key"])
        check.reply("GET", TASKS, refused)
        assert (refused.status, refused.code) == (503, "overloaded")
        unlock_one()
        unlock_two()
        assert [each.result().status for each in stuck] == [201, 201]
    assert live.request("GET", TASKS, token=made.json()["key"]).status == 200


def test_create_task_with_a_slow_body_has_not_waited_for_a_slot_meanwhile(live: Live, url: str) -> None:
    create(live, "slow", "before")
    body = b'{"title": "slowly"}'
    fields = f"Host: localhost\r\nAuthorization: Bearer {token('slow')}\r\nContent-Type: application/json\r\n"
    with locked(url, "slow") as unlock, ThreadPoolExecutor(1) as threads, live.wire() as wire:
        wire.send(f"POST {TASKS} HTTP/1.1\r\n{fields}Content-Length: {len(body)}\r\n\r\n".encode())
        time.sleep(2 * LIMIT)
        stuck = threads.submit(create, live, "slow", "stuck")
        until(lambda: running(url, "slow"))
        began = time.monotonic()
        wire.send(body)
        assert wire.reply("POST").status == 503
        assert time.monotonic() - began >= LIMIT - TICK
        unlock()
        assert stuck.result().status == 201


class Reader:
    """Who reads a reply at ASGI's side: the first piece, and no more until it is told to."""

    def __init__(self) -> None:
        self.body = b""
        self.has_begun = threading.Event()
        self.goes_on = asyncio.Event()

    async def receive(self) -> dict[str, Any]:
        await asyncio.Event().wait()  # it stays
        raise AssertionError

    async def send(self, message: MutableMapping[str, Any]) -> None:
        self.body += message.get("body", b"")
        if self.body:
            self.has_begun.set()
            await self.goes_on.wait()


def get(path: str, user: str) -> dict[str, Any]:
    """The scope of a request."""
    fields = [(b"authorization", f"Bearer {token(user)}".encode())]
    about = {"type": "http", "method": "GET", "root_path": "", "query_string": b"", "headers": fields}
    return {**about, "path": path, "raw_path": path.encode()}


def test_export_account_that_has_begun_waits_for_its_slots_however_long(url: str) -> None:
    """Its reader keeps no slot while it takes nothing, and the export is not broken off for want of one."""
    execute(
        url,
        "SELECT set_config('app.user_id', 'reader', false);"
        f"SET ROLE {USER_ROLE};"
        "INSERT INTO users (id, seq, pending) VALUES ('reader', 400, 400);"
        "INSERT INTO tasks (id, user_id, title, description, status, created_at, updated_at, version)"
        " SELECT gen_random_uuid(), 'reader', 'Read', repeat('x', 5000), 'pending', now(), now(), number"
        " FROM generate_series(1, 400) AS number",
    )
    config = Config(database_url=url, jwt_secret=SECRET, rate_limit="off", threads=1, queue_limit=1)
    path = "/api/v1/me/account/export"
    reader, other = Reader(), Reader()
    with event_loop() as loop:
        app = create_app(config)
        exported = asyncio.run_coroutine_threadsafe(app(get(path, "reader"), reader.receive, reader.send), loop)
        assert reader.has_begun.wait(SLACK)
        with closing(psycopg2.connect(url)) as database, database.cursor() as cursor:
            cursor.execute("LOCK TABLE tasks")
            loop.call_soon_threadsafe(other.goes_on.set)
            stuck = asyncio.run_coroutine_threadsafe(app(get(TASKS, "stuck"), other.receive, other.send), loop)
            until(lambda: running(url, "stuck"))
            loop.call_soon_threadsafe(reader.goes_on.set)
            time.sleep(LIMIT)
            assert not exported.done()
        stuck.result(SLACK)
        exported.result(SLACK)
    assert json.loads(other.body)["total"] == 0
    assert len(json.loads(reader.body)["tasks"]) == 400
