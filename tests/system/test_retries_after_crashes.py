"""The real server is killed, or started anew, between a request and its retry: still it acts once."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from tests.support.client import Reply
from tests.support.contract_check import ContractCheck
from tests.support.credentials import SECRET, token
from tests.support.live import SLACK, Live, Wire
from tests.support.rows import rows, superuser_url

TASKS = "/api/v1/me/tasks"
BODY = b'{"title": "Only once"}'


@pytest.fixture
def url(new_database: Callable[[], str]) -> str:
    """A database of the test's own."""
    return new_database()


def start(folder: Path, url: str) -> Live:
    return Live(folder, DATABASE_URL=url, JWT_SECRET=SECRET)


def create(service: Live, check: ContractCheck) -> Reply:
    reply = service.request("POST", TASKS, BODY, 'Idempotency-Key: "across-crashes"', token=token("ada"))
    check.reply("POST", TASKS, reply)
    return reply


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SLACK
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def titles(url: str) -> list[tuple[str, ...]]:
    return rows(url, "SELECT title FROM tasks")


def test_create_task_sent_again_after_a_restart_replies_the_same(
    tmp_path: Path, url: str, check: ContractCheck
) -> None:
    with start(tmp_path, url) as service:
        first = create(service.ready(), check)
    with start(tmp_path, url) as service:
        again = create(service.ready(), check)
    assert (first.status, again.status, again.json()) == (201, 201, first.json())
    assert again.headers["idempotency-replayed"] == "true"
    assert titles(url) == [("Only once",)]


@contextmanager
def sent_and_held(service: Live, url: str, table: str) -> Iterator[tuple[Wire, Any]]:
    """A creation that waits in PostgreSQL for a table, and the connection that holds that."""
    with closing(psycopg2.connect(superuser_url(url))) as holder, service.wire() as wire:
        holder.cursor().execute(f"LOCK TABLE {table} IN EXCLUSIVE MODE")
        head = f"POST {TASKS} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token('ada')}\r\n"
        head += 'Idempotency-Key: "across-crashes"\r\nContent-Type: application/json\r\n'
        wire.send(f"{head}Content-Length: {len(BODY)}\r\n\r\n".encode() + BODY)
        until(lambda: rows(url, "SELECT 1 FROM pg_locks WHERE NOT granted AND locktype = 'relation'") != [])
        yield wire, holder


def test_create_task_whose_worker_is_killed_between_commit_and_reply_replies_to_the_retry(
    tmp_path: Path, url: str, check: ContractCheck
) -> None:
    """PostgreSQL has the last statement and the COMMIT already, and waits for a lock, when the worker is stopped for ever."""
    with start(tmp_path, url) as service:
        (worker,) = service.ready().workers()
        with sent_and_held(service, url, "idempotent_replies") as (wire, holder):
            assert titles(url) == []
            os.kill(worker, signal.SIGSTOP)
            holder.rollback()
            until(lambda: titles(url) == [("Only once",)])
            os.kill(worker, signal.SIGKILL)
            with pytest.raises(ConnectionError):
                wire.reply("POST")
        until(lambda: len(service.workers()) == 2)
        retried = create(service.ready(), check)
        assert (retried.status, retried.headers["idempotency-replayed"]) == (201, "true")
        assert retried.json()["title"] == "Only once"
        assert titles(url) == [("Only once",)]


def test_create_task_whose_worker_is_killed_before_the_commit_is_made_once_by_the_retry(
    tmp_path: Path, url: str, check: ContractCheck
) -> None:
    with start(tmp_path, url) as service:
        (worker,) = service.ready().workers()
        with sent_and_held(service, url, "tasks") as (wire, holder):
            os.kill(worker, signal.SIGKILL)
            with pytest.raises(ConnectionError):
                wire.reply("POST")
            holder.rollback()
        until(lambda: len(service.workers()) == 2)
        service.ready()
        until(lambda: rows(url, "SELECT 1 FROM pg_stat_activity WHERE state LIKE 'idle in%'") == [])
        retried = create(service, check)
        assert (retried.status, "idempotency-replayed" in retried.headers) == (201, False)
        assert titles(url) == [("Only once",)]
