"""The export of an account: complete by the database's catalogue, without secrets, and read piece by piece."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import closing
from datetime import datetime
from itertools import islice
from typing import Any

import psutil
import pytest

from tests.support.client import event_loop
from tests.support.credentials import SECRET, token
from tests.support.live import Live, Wire
from tests.support.on_loop import on_loop
from tests.support.processes import soon
from tests.support.rows import rows, tables_of_users
from tests.support.users import User
from todo_api.accounts import export as exports
from todo_api.app import create_app
from todo_api.config import Config
from todo_api.database.database import Database
from todo_api.database.spending import spent
from todo_api.guards import Caller
from todo_api.models import MOST_PROJECTS, PRIORITIES
from todo_api.schemas import dump_actor
from todo_api.tasks.list_statements import BATCH, BATCH_OCTETS

ACCOUNT = "/api/v1/me/account"
TASKS = "/api/v1/me/tasks"


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    with closing(Database(url, pool_size=1)) as database:
        yield database


LEFT_OUT = {
    "accounts": {"password_hash", "passwords", "email_verified_at", "registered_again"},
    "api_keys": {"digest"},
    "sessions": {"family", "digest"},
    "projects": {"first_version"},
    "tasks": {"title_folded", "description_folded", "dates", "children", "first_version"}
    | {f"{name}_{part}" for name in ("due", "start") for part in ("date", "time", "zone", "at")},
    "users": {
        "epoch",
        "seq",
        "horizon",
        "zone_data",
        "api_keys",
        "projects",
        "pending",
        "in_progress",
        "completed",
        "cancelled",
    },
}
"""What the export does not have: what opens the account, how many passwords it has had, how its address was verified,
what was purged, by which write something was created, and what follows from the tasks: counts, texts without case,
and the instants of dates.
Dates are members of other names."""

COPIES = {"idempotent_replies"}
"""Tables of what was told in replies already, kept sealed for a day."""

DERIVED = {"task_labels"}
"""Tables of what tasks have as well."""

DELETED = {"tombstones"}
"""Tables of what the user has deleted for good."""

TRASHED = {"trash"}
"""Tables of what the user has deleted, as it was."""

PAST = {"history"}
"""Tables of what tasks and projects were, as `listHistory` tells it."""

SECRETS = {"one_time_tokens"}
"""Tables of secrets alone, which last for an hour."""

SECTIONS = {"users": "account", "accounts": "account"} | {
    name: name for name in ("sessions", "api_keys", "projects", "tasks")
}
"""Section of the export that has the rows of a table."""


def moment_of(row: dict[str, Any], name: str) -> dict[str, Any] | None:
    """The member that the columns of a date stand for."""
    day, time, zone = (row[f"{name}_{part}"] for part in ("date", "time", "zone"))
    return None if day is None else {"date": day, "time": time and time[:5], "time_zone": zone}


def plain(value: Any) -> Any:
    """A value of JSON, with times as such."""
    try:
        return datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return value


def test_export_account_has_every_column_of_every_table_of_users(user: User, url: str) -> None:
    user.client.post(TASKS, {"title": "First", "description": "whole", "status": "completed"})
    user.client.post(
        TASKS,
        {
            "title": "Second",
            "priority": "high",
            "labels": ["errand", "Home"],
            "links": [{"url": "https://a", "title": "A"}],
            "due": {"date": "2026-11-20", "time": "17:30", "time_zone": "Europe/Berlin"},
        },
    )
    user.client.post("/api/v1/me/keys", {"name": "Mine", "scopes": ["tasks:read"]})
    user.client.post("/api/v1/me/projects", {"name": "Kitchen", "description": "whole", "color": "#2f6f4e"})
    reply = user.client.get(f"{ACCOUNT}/export")
    assert (reply.status, reply.headers["cache-control"]) == (200, "no-store")
    document = reply.json()
    tables = tables_of_users(url)
    assert {*tables} == {*SECTIONS} | COPIES | DELETED | DERIVED | PAST | SECRETS | TRASHED
    for table in SECTIONS:
        columns = tables[table]
        owner = "id" if table == "users" else "user_id"
        section = document[SECTIONS[table]]
        stored = rows(url, f"SELECT to_jsonb({table}) FROM {table} WHERE {owner} = '{user.id}' ORDER BY 1")
        told = section if isinstance(section, list) else [section]
        assert len(stored) == len(told) > 0
        for (row,), item in zip(stored, sorted(told, key=lambda one: one["id"]), strict=True):
            if table == "tasks":
                row |= {"priority": PRIORITIES[row["priority"]], "links": json.loads(row["links"] or "[]")}
                row["labels"] = json.loads(row["labels"] or "[]")
                row["created_by"] = dump_actor(row["created_by"])
                kept_dates = {name: moment_of(row, name) for name in ("due", "start")}
                assert {name: item[name] for name in kept_dates} == kept_dates
            if table == "users":
                row |= {"time_zone": row["time_zone"] or "Etc/UTC", "week_start": row["week_start"] or "monday"}
            kept = columns - LEFT_OUT.get(table, set())
            assert {name: plain(({"user_id": user.id} | item)[name]) for name in kept} == {
                name: plain(row[name]) for name in kept
            }


@pytest.mark.parametrize("count", [0, 1, 100, 207])
def test_export_account_has_the_whole_history(user: User, url: str, count: int) -> None:
    """Entry by entry as it is listed, the oldest first, however many batches they take."""
    user.client.post(TASKS, {"title": "x"})
    rows(
        url,
        "INSERT INTO history (user_id, seq, version_before, kind, id, action, at, changes)"
        f" SELECT '{user.id}', 2 + n / 3, 1, 'task', gen_random_uuid(), 'updated', now() + n / 3 * interval '1 second', '{{}}'"
        f" FROM generate_series(1, {count}) n",
    )
    listed, cursor = [], ""
    while cursor is not None:
        page = user.client.get(f"/api/v1/me/history?limit=100{cursor and f'&cursor={cursor}'}").json()
        listed += page["items"]
        cursor = page["next_cursor"]
    assert len(listed) == count
    assert user.client.get(f"{ACCOUNT}/export").json()["history"] == listed[::-1]


def test_export_account_has_no_secret(user: User, url: str) -> None:
    body = user.client.get(f"{ACCOUNT}/export").body.decode()
    ((password_hash,),) = rows(url, f"SELECT password_hash FROM accounts WHERE user_id = '{user.id}'")
    ((family, digest),) = rows(url, f"SELECT family, digest FROM sessions WHERE user_id = '{user.id}'")
    assert [secret for secret in (password_hash, family, digest, "argon2") if secret in body] == []


@pytest.mark.parametrize("count", [0, 1, BATCH, BATCH + 1, 2 * BATCH + 7])
def test_export_account_of_any_number_of_tasks_has_each_once(user: User, url: str, count: int) -> None:
    rows(
        url,
        "INSERT INTO tasks (user_id, id, title, status, created_at, updated_at, version)"
        f" SELECT '{user.id}', gen_random_uuid(), 'Task ' || n, 'pending', now(), now(), n FROM generate_series(1, {count}) n"
        " RETURNING 1",
    )
    told = [task["title"] for task in user.client.get(f"{ACCOUNT}/export").json()["tasks"]]
    assert sorted(told) == sorted(f"Task {number}" for number in range(1, count + 1))


def test_export_account_of_as_many_projects_as_there_may_be_has_each(user: User, url: str) -> None:
    rows(
        url,
        f"INSERT INTO projects SELECT '{user.id}', gen_random_uuid(), n::text, NULL, NULL, 'm' || n, now(), now(), 1"
        f" FROM generate_series(1, {MOST_PROJECTS}) n; UPDATE users SET projects = {MOST_PROJECTS} WHERE id = '{user.id}'",
    )
    told = [project["name"] for project in user.client.get(f"{ACCOUNT}/export").json()["projects"]]
    assert sorted(told, key=int) == [str(number) for number in range(1, MOST_PROJECTS + 1)]


def test_export_account_of_another_holds_nothing_of_mine(user: User, new_account: Callable[[], User]) -> None:
    user.client.post(TASKS, {"title": "walrus"})
    assert b"walrus" not in new_account().client.get(f"{ACCOUNT}/export").body


@on_loop
def test_export_account_reads_no_task_before_it_is_asked_for(user: User, database: Database) -> None:
    """So that the memory it takes does not grow with the tasks."""
    for number in range(3):
        user.client.post(TASKS, {"title": f"Task {number}"})
        user.client.delete(f"{TASKS}/{user.client.post(TASKS, {'title': 'Gone'}).json()['id']}")
    found = exports.export(database, user.id, Caller(registered=True), 30)
    spent()
    assert spent()[0] == 0
    assert next(found.tasks).title == "Task 0"
    assert spent()[0] == 1
    gone = islice(found.trash, 3)
    assert [each.task.title for each in gone if each.task] == ["Gone"] * 3
    assert spent()[0] == 2  # none of projects, three of tasks


def test_head_of_export_has_no_body(user: User) -> None:
    reply = user.client.request("HEAD", f"{ACCOUNT}/export")
    assert (reply.status, reply.body, reply.headers["content-type"]) == (200, b"", "application/json")


HEAVY = """
    WITH met AS (INSERT INTO users (id) VALUES ('{user}') RETURNING id)
    INSERT INTO tasks (user_id, id, title, description, status, created_at, updated_at, version)
    SELECT met.id, gen_random_uuid(), 'Task ' || n, repeat('{letter}', 5000), 'pending', now(), now(), n
    FROM met, generate_series(1, {count}) n RETURNING 1
"""

WAITS = ["after it writes", "before it writes again"]
"""When a server waits for a connection that takes no more: gunicorn's ASGI worker, and uvicorn."""


class Reader:
    """An export's reader behind a server: it takes the first piece and then no more, until it is told to."""

    def __init__(self, waits: str) -> None:
        self.pieces: list[bytes] = []
        self.is_full = threading.Event()
        self._goes_on = asyncio.Event()
        self._waits_after = waits == WAITS[0]

    def take_all(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.call_soon_threadsafe(self._goes_on.set)

    async def receive(self) -> dict[str, Any]:
        await asyncio.Event().wait()  # it stays
        raise AssertionError

    async def send(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            return
        if self.pieces and not self._waits_after:
            await self._drained()
        if message["body"]:
            self.pieces.append(message["body"])
            if self._waits_after:
                await self._drained()

    async def _drained(self) -> None:
        self.is_full.set()
        await self._goes_on.wait()


def export_scope(user: str) -> dict[str, Any]:
    return {
        "type": "http",
        "method": "GET",
        "path": f"{ACCOUNT}/export",
        "raw_path": f"{ACCOUNT}/export".encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(b"authorization", f"Bearer {token(user)}".encode())],
    }


@pytest.mark.parametrize("waits", WAITS)
def test_export_account_reads_no_more_tasks_before_its_reader_has_taken_those_before(url: str, waits: str) -> None:
    """Tasks deleted while the reader takes nothing are not in it: they had not been read."""
    user = f"reader that waits {waits}"
    rows(url, HEAVY.format(user=user, letter="x", count=400))
    reader = Reader(waits)
    with event_loop() as loop:
        app = create_app(Config(database_url=url, jwt_secret=SECRET))
        asked = asyncio.run_coroutine_threadsafe(app(export_scope(user), reader.receive, reader.send), loop)
        assert reader.is_full.wait(30)
        rows(url, f"DELETE FROM tasks WHERE user_id = '{user}' RETURNING 1")
        reader.take_all(loop)
        asked.result(30)
    assert 0 < len(json.loads(b"".join(reader.pieces))["tasks"]) <= BATCH_OCTETS // DESCRIPTION + 1


@pytest.mark.parametrize("letter", ["x", '"', "😀"])
def test_export_account_goes_out_in_pieces_of_at_most_256_kib(url: str, letter: str) -> None:
    user = f"heavy with {letter}"
    rows(url, HEAVY.format(user=user, letter=letter, count=150))
    rows(
        url,
        "INSERT INTO sessions SELECT users.id, gen_random_uuid(), repeat('a', 64), repeat('a', 64), now(), now(),"
        f" now() + interval '1 h' FROM users, generate_series(1, 3000) WHERE users.id = '{user}' RETURNING 1",
    )
    reader = Reader(WAITS[0])
    with event_loop() as loop:
        reader.take_all(loop)
        app = create_app(Config(database_url=url, jwt_secret=SECRET))
        asyncio.run_coroutine_threadsafe(app(export_scope(user), reader.receive, reader.send), loop).result(30)
    document = json.loads(b"".join(reader.pieces))
    assert (len(document["tasks"]), len(document["sessions"])) == (150, 3000)
    sizes = [len(piece) for piece in reader.pieces]
    assert max(sizes) <= 256 * 1024
    assert min(sizes[:-1]) > 128 * 1024


LARGE = 40 * BATCH
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
    assert 2 < line["statements"] < LARGE * DESCRIPTION / BATCH_OCTETS / 2
    assert live.request("GET", ACCOUNT, token=token("ada")).status == 200
