"""Costs of the feed and of batches. They are printed for docs/benchmarks.md: make test-system ARGS='-k feed_costs -s'.

What is bounded is processor time, which a busy machine changes little.
"""

import json
import selectors
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from random import random
from statistics import median, quantiles
from typing import Any
from uuid import UUID, uuid4

import psutil
import pytest
from sqlalchemy import Integer, func, select

from tests.support.credentials import SECRET, token
from tests.support.feed import BATCH
from tests.support.live import Live
from tests.support.on_loop import on_loop
from tests.support.pooler import Pooler
from tests.support.processes import soon
from tests.support.programs import FOUND
from tests.support.rows import rows
from todo_api.changes import statements
from todo_api.changes.tokens import HIGHEST, RANKS
from todo_api.changes.waits import EVERY, MOST, MOST_OF_USER
from todo_api.database import Database, Statement
from todo_api.embedded import EmbeddedServer

CHANGES = "/api/v1/me/changes"
TASKS = "/api/v1/me/tasks"
MANY = 100_000
SAME = MANY // 2
"""Number of tasks with one version."""

FILL = f"""
    INSERT INTO users (id, seq, pending) VALUES ('many', {SAME + 1}, {MANY});
    INSERT INTO tasks (user_id, id, title, description, status, created_at, updated_at, version)
        SELECT 'many', gen_random_uuid(), 'Task ' || i, repeat('All that there is to say of it. ', 4), 'pending', now(), now(),
            least(i, {SAME + 1}) FROM generate_series(1, {MANY}) i;
    INSERT INTO tombstones SELECT 'many', 'task', gen_random_uuid(), i, now() FROM generate_series(1, {SAME}) i;
    VACUUM ANALYZE tasks; VACUUM ANALYZE tombstones; VACUUM ANALYZE users
"""
PLACES = {
    "beginning": (0, HIGHEST),
    "middle": (SAME // 2, HIGHEST),
    "inside a version": (SAME + 1, str(UUID(int=2**127))),
    "end": (SAME + 1, HIGHEST),
}
PAGE = 500
PAGE_MS = 30
TASK = b'{"title": "There"}'
SETTINGS = {"JWT_SECRET": SECRET, "RATE_LIMIT": "off"}
WAIT = 30
WRITES = 20
PER_SECOND = 3000
"""Tasks that a second of processor time creates at least."""

ROUNDS = 3
TOGETHER = 1000
SESSIONS = "SELECT pid FROM pg_stat_activity WHERE application_name = 'task-api' AND datname = current_database()"
SESSION = Statement(select(func.pg_backend_pid().cast(Integer)))


def told(what: str) -> None:
    """Print a figure, with the load of the machine."""
    print(f"\n{what}; load of the machine {psutil.getloadavg()[0]:.0f}", flush=True)


def spent(process: int) -> float:
    """Milliseconds of processor time that all threads of a process have used."""
    threads = Path(f"/proc/{process}/task").glob("*/schedstat")
    return sum(int(each.read_text().split()[0]) for each in threads) / 1e6


@pytest.fixture(scope="module")
def filled(new_database: Callable[[], str]) -> str:
    """A database with a user who has 100,000 tasks."""
    url = new_database()
    for statement in FILL.split(";"):
        rows(url, statement)
    return url


@pytest.mark.parametrize("place", PLACES)
@on_loop
def test_page_of_500_costs_the_database_the_same_at_every_place(filled: str, place: str) -> None:
    bounds = {
        f"{name}_{rank}": value
        for rank in RANKS.values()
        for name, value in zip(("version", "id"), PLACES[place], strict=True)
    }
    with closing(Database(filled, pool_size=1)) as database:
        user = database.as_user("many")
        ((session,),) = user.fetch_all(SESSION, {})
        times, count = [], 0
        for _ in range(15):
            before = spent(session)
            count = len(user.fetch_all(statements.page, {"user_id": "many", "limit": PAGE + 1, "known": [], **bounds}))
            times.append(spent(session) - before)
    told(f"page of {PAGE} of {MANY} tasks, {place}: {count} rows, {median(times):.1f} ms of the session's processor")
    assert count == (1 if place == "end" else PAGE + 1)
    assert median(times) < PAGE_MS


SHARE = 4
"""Without waiting, the service is watched for a quarter of the time."""


class Idle:
    """A thousand clients who wait, each again as soon as it has its reply."""

    SECONDS = 25

    def __init__(self, service: Live, stack: ExitStack) -> None:
        """Send the first requests, whose waits end one after another, as those of clients who came at different times."""
        self.replies = 0
        self._selector = stack.enter_context(selectors.DefaultSelector())
        for number in range(MOST // MOST_OF_USER):
            asked = asking(service, f"idle-{number}")
            for place in range(MOST_OF_USER):
                wire = stack.enter_context(service.wire(f"127.0.0.{2 + number % 8}"))
                wire.send(asked(1 + (number + place) % self.SECONDS))
                self._selector.register(wire.socket, selectors.EVENT_READ, (wire, asked(self.SECONDS)))

    def run(self, seconds: float) -> None:
        """Go on for so long."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            for key, _ in self._selector.select(left):
                wire, asked = key.data
                assert wire.reply().status == 200
                self.replies += 1
                wire.send(asked)


def asking(service: Live, user: str) -> Callable[[int], bytes]:
    """Create a task of the user; return what makes a request that waits for the next change so many seconds."""
    bearer = token(user)
    service.request("POST", TASKS, TASK, token=bearer)
    since = service.request("GET", CHANGES, token=bearer).json()["next"]
    head = f"GET {CHANGES}?since={since}&wait=%d HTTP/1.1\r\nHost: localhost\r\n"
    return lambda seconds: f"{head % seconds}Authorization: Bearer {bearer}\r\n\r\n".encode()


def test_thousand_who_wait_idly_cost_little_and_hold_no_connection(tmp_path: Path, url: str) -> None:
    """The service has one connection to the database: whoever held it would keep all others waiting.

    A busy machine makes each request dearer, so the bound is what as many a second cost without waiting.
    """
    with (
        Live(tmp_path, DATABASE_URL=url, THREADS="1", QUEUE_LIMIT="60000", **SETTINGS) as service,
        ExitStack() as stack,
    ):
        (worker,) = service.ready().workers()
        idle = Idle(service, stack)
        idle.run(5)
        idle.replies = 0
        before, began = spent(worker), time.monotonic()
        idle.run(Idle.SECONDS)
        cost, seconds = spent(worker) - before, time.monotonic() - began
        assert service.request("GET", TASKS, token=token("idle-0")).status == 200
        with service.wire() as wire:
            asked = asking(service, "at once")(0)
            before, began = spent(worker), time.monotonic()
            for number in range(idle.replies // SHARE):
                time.sleep(max(0, began + number * seconds / idle.replies - time.monotonic()))
                wire.send(asked)
                assert wire.reply().status == 200
            at_once = (spent(worker) - before) * SHARE
    told(
        f"{MOST} who wait {Idle.SECONDS} s: {cost / seconds / 10:.1f} % of a core, {idle.replies} replies in {seconds:.0f} s"
    )
    told(f"as many replies a second without waiting: {at_once / seconds / 10:.1f} % of a core")
    assert idle.replies >= MOST / 2
    assert cost < 2 * at_once


def test_who_waits_learns_of_a_write_soon(tmp_path: Path, server: EmbeddedServer, url: str) -> None:
    """In the process that writes and in another, without a pooler and behind one."""
    with ExitStack() as stack:
        ways = {"": url}
        if FOUND["pgbouncer"]:
            ways[" behind PgBouncer"] = stack.enter_context(Pooler(server.url)).url(url)
        for way, address in ways.items():
            services = [stack.enter_context(Live(tmp_path, DATABASE_URL=address, **SETTINGS)).ready() for _ in range(2)]
            for place, writing in zip(("the same process", "another process"), services, strict=True):
                users = [f"waits-{len(place)}-{len(way)}-{n}" for n in range(WRITES)]
                with ThreadPoolExecutor(4) as pool:
                    seconds = [*pool.map(partial(noticed, services[0], writing), users)]
                *_, most = quantiles(seconds, n=20)
                told(f"a write in {place}{way}: seen after {1000 * median(seconds):.0f} ms, p95 {1000 * most:.0f} ms")
                assert median(seconds) < WAIT / 3  # it has not come at the end of the wait


def noticed(waiting: Live, writing: Live, user: str) -> float:
    """Return the seconds from the reply to a write to that of who waits for it."""
    asked = asking(waiting, user)(WAIT)
    with waiting.wire() as wire:
        wire.send(asked)
        time.sleep(0.3 + random() * EVERY)  # noqa: S311  # it waits then, and this is any moment between two looks
        assert writing.request("POST", TASKS, TASK, token=token(user)).status == 201
        written = time.monotonic()
        assert len(wire.reply().json()["tasks"]) == 1
        return max(0.0, time.monotonic() - written)


def test_thousand_tasks_by_batches_of_a_hundred_cost_little(tmp_path: Path, url: str) -> None:
    """Creations, and then changes, of one user, one request after another, through two workers."""
    with Live(tmp_path, "--workers", "2", DATABASE_URL=url, **SETTINGS) as service, service.ready().wire() as wire:
        assert soon(lambda: len(service.workers()) == 2)
        bearer = token("batches")

        def all_spent() -> float:
            sessions = [session for (session,) in rows(url, SESSIONS)]
            return sum(map(spent, [*service.workers(), *sessions]))

        def measured(path: str, bodies: list[Any], status: int) -> tuple[float, float]:
            """Return the seconds, and the milliseconds of processor time of the workers and their sessions."""
            head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {bearer}\r\n"
            contents = [json.dumps(body).encode() for body in bodies]
            before, began = all_spent(), time.monotonic()
            for content in contents:
                kind = f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
                wire.send(f"{head}{kind}".encode() + content)
                assert wire.reply("POST").status == status
            seconds = time.monotonic() - began
            return seconds, all_spent() - before

        found: dict[str, list[tuple[float, float]]] = {"created": [], "changed": [], "created one by one": []}
        for _ in range(ROUNDS):
            ids = [str(uuid4()) for _ in range(TOGETHER)]
            for what, operations in (
                ("created", [{"create_task": {"id": id_, "title": "New"}} for id_ in ids]),
                ("changed", [{"update_task": {"id": id_, "change": {"title": "Changed"}}} for id_ in ids]),
            ):
                batches = [{"operations": operations[first : first + 100]} for first in range(0, TOGETHER, 100)]
                found[what].append(measured(BATCH, batches, 200))
            found["created one by one"].append(measured(TASKS, [{"title": "New"}] * TOGETHER, 201))
        costs = {}
        for what, both in found.items():
            rates = [TOGETHER / seconds for seconds, _ in both]
            costs[what] = median(cost for _, cost in both) / TOGETHER
            rate = f"{median(rates):.0f}/s ({min(rates):.0f} to {max(rates):.0f})"
            told(f"tasks {what}: {rate}, {costs[what]:.2f} ms of the processor each, database included")
        assert costs["created"] < 1000 / PER_SECOND
