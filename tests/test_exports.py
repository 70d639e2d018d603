"""The export of an account: complete by the database's catalogue, without secrets, and read piece by piece."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime
from typing import Any

import psutil
import pytest

from tests.conftest import SECRET, User, token
from tests.live import Live, Wire
from tests.rows import rows, tables_of_users
from tests.test_serve import soon
from todo_api.db import Database
from todo_api.services import exports
from todo_api.services.guards import Caller

ACCOUNT = "/api/v1/me/account"
TASKS = "/api/v1/me/tasks"


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    with closing(Database(url, pool_size=1)) as database:
        yield database


LEFT_OUT = {
    "accounts": {"password_hash", "passwords"},
    "api_keys": {"digest"},
    "sessions": {"family", "digest"},
    "users": {"seq", "api_keys", "pending", "in_progress", "completed", "cancelled"},
}
"""What the export does not have: what opens the account, how many passwords it has had, and the counts that follow from the tasks."""

COPIES = {"idempotent_replies"}
"""Tables of what was told in replies already, kept sealed for a day."""

SECTIONS = {"users": "account", "accounts": "account", "sessions": "sessions", "api_keys": "api_keys", "tasks": "tasks"}
"""Where in the export the rows of a table are."""


def plain(value: Any) -> Any:
    """A value of JSON, with times as such."""
    try:
        return datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return value


def test_export_account_has_every_column_of_every_table_of_users(user: User, url: str) -> None:
    user.client.post(TASKS, {"title": "First", "description": "whole", "status": "completed"})
    user.client.post(TASKS, {"title": "Second"})
    user.client.post("/api/v1/me/keys", {"name": "Mine", "scopes": ["tasks:read"]})
    reply = user.client.get(f"{ACCOUNT}/export")
    assert (reply.status, reply.headers["cache-control"]) == (200, "no-store")
    document = reply.json()
    tables = tables_of_users(url)
    assert {*tables} == {*SECTIONS} | COPIES
    for table in SECTIONS:
        columns = tables[table]
        owner = "id" if table == "users" else "user_id"
        section = document[SECTIONS[table]]
        stored = rows(url, f"SELECT to_jsonb({table}) FROM {table} WHERE {owner} = '{user.id}' ORDER BY 1")
        told = section if isinstance(section, list) else [section]
        assert len(stored) == len(told) > 0
        for (row,), item in zip(stored, sorted(told, key=lambda one: one["id"]), strict=True):
            kept = columns - LEFT_OUT.get(table, set())
            assert {name: plain(({"user_id": user.id} | item)[name]) for name in kept} == {
                name: plain(row[name]) for name in kept
            }


def test_export_account_has_no_secret(user: User, url: str) -> None:
    body = user.client.get(f"{ACCOUNT}/export").body.decode()
    ((password_hash,),) = rows(url, f"SELECT password_hash FROM accounts WHERE user_id = '{user.id}'")
    ((family, digest),) = rows(url, f"SELECT family, digest FROM sessions WHERE user_id = '{user.id}'")
    assert [secret for secret in (password_hash, family, digest, "argon2") if secret in body] == []


@pytest.mark.parametrize("count", [0, 1, exports.BATCH, exports.BATCH + 1, 2 * exports.BATCH + 7])
def test_export_account_of_any_number_of_tasks_has_each_once(user: User, url: str, count: int) -> None:
    rows(
        url,
        "INSERT INTO tasks (user_id, id, title, status, created_at, updated_at, version)"
        f" SELECT '{user.id}', gen_random_uuid(), 'Task ' || n, 'pending', now(), now(), n FROM generate_series(1, {count}) n"
        " RETURNING 1",
    )
    told = [task["title"] for task in user.client.get(f"{ACCOUNT}/export").json()["tasks"]]
    assert sorted(told) == sorted(f"Task {number}" for number in range(1, count + 1))


def test_export_account_of_another_holds_nothing_of_mine(user: User, new_account: Callable[[], User]) -> None:
    user.client.post(TASKS, {"title": "walrus"})
    assert b"walrus" not in new_account().client.get(f"{ACCOUNT}/export").body


def test_export_account_reads_no_task_before_it_is_asked_for(user: User, database: Database) -> None:
    """So that the memory it takes does not grow with the tasks."""
    for number in range(3):
        user.client.post(TASKS, {"title": f"Task {number}"})
    found = exports.export(database, user.id, Caller(registered=True))
    database.spent()
    assert len(next(found.batches)) == 3
    assert database.spent()[0] == 1


def test_head_of_export_has_no_body(user: User) -> None:
    reply = user.client.request("HEAD", f"{ACCOUNT}/export")
    assert (reply.status, reply.body, reply.headers["content-type"]) == (200, b"", "application/json")


LARGE = 40 * exports.BATCH
DESCRIPTION = 5_000
"""Characters of each task of a large export, which has a hundred megabytes: many more than the buffers of a connection."""


@pytest.fixture(scope="module")
def live(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A service with one worker, whose user `large` has many tasks."""
    rows(
        url,
        "WITH met AS (INSERT INTO users (id, created_at, updated_at) VALUES ('large', now(), now()) RETURNING id)"
        " INSERT INTO tasks (user_id, id, title, description, status, created_at, updated_at, version)"
        f" SELECT met.id, gen_random_uuid(), 'Task ' || n, repeat('x', {DESCRIPTION}), 'pending', now(), now(), n"
        f" FROM met, generate_series(1, {LARGE}) n RETURNING 1",
    )
    folder = tmp_path_factory.mktemp("exports")
    with Live(folder, DATABASE_URL=url, JWT_SECRET=SECRET, LOG_FORMAT="json") as service:
        yield service.ready()


def ask(wire: Wire, name: str) -> None:
    head = f"GET {ACCOUNT}/export HTTP/1.1\r\nHost: localhost\r\nX-Request-ID: {name}\r\nConnection: close\r\n"
    wire.send(f"{head}Authorization: Bearer {token('large')}\r\n\r\n".encode())


def lines(service: Live, name: str) -> list[dict[str, Any]]:
    """The lines of its log about the request of that name."""
    return [line for line in map(json.loads, service.output().splitlines()) if line.get("request_id") == name]


def test_export_account_takes_no_more_memory_than_a_part_of_it_and_holds_up_nobody(live: Live) -> None:
    (worker,) = live.workers()
    memory = psutil.Process(worker)
    before, size, most = memory.memory_info().rss, 0, 0
    with live.wire() as wire:
        ask(wire, "whole")
        while content := wire.socket.recv(1 << 20):
            if size // (10 << 20) != (size + len(content)) // (10 << 20):
                assert live.request("GET", ACCOUNT, token=token("ada")).status == 200
            size += len(content)
            most = max(most, memory.memory_info().rss)
    assert soon(lambda: len(lines(live, "whole")) == 1)
    assert size > LARGE * DESCRIPTION
    assert most - before < size / 2


def test_export_account_whose_reader_is_slow_waits_for_them_and_ends_when_they_leave(live: Live) -> None:
    with live.wire() as wire:
        ask(wire, "left")
        assert wire.socket.recv(1000).startswith(b"HTTP/1.1 200")
        assert live.request("GET", ACCOUNT, token=token("ada")).status == 200
        assert lines(live, "left") == []
    assert soon(lambda: len(lines(live, "left")) == 1)
    (line,) = lines(live, "left")
    assert 2 < line["statements"] < LARGE / exports.BATCH
    assert live.request("GET", ACCOUNT, token=token("ada")).status == 200
