"""Limits that all workers share, in a real Redis: present, away from the start, away later, hung, and back."""

import asyncio
import itertools
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import ResponseError

from tests.support.credentials import SECRET, token
from tests.support.live import SLACK, Live
from tests.support.redis_server import RedisServer
from todo_api.throttling import redis as sharing
from todo_api.throttling.attempts import AttemptCounters, Backoff, CounterKey, KnownLogins
from todo_api.throttling.redis import TIMEOUT, RedisCounters

TASKS = "/api/v1/me/tasks"
AWAY = "Redis cannot be reached"
BACK = "Redis can be reached again"


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    """Not started yet."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for Redis as long as it takes: a busy machine may take more than its tenth of a second."""
    monkeypatch.setattr(sharing, "TIMEOUT", SLACK)


async def numbers(shared: RedisCounters, count: int) -> list[int]:
    return [(await shared.increment("user ada@example.com", 86400)).number for _ in range(count)]


@pytest.mark.usefixtures("patient")
def test_hit_of_two_workers_is_counted_together_and_names_nobody(redis: RedisServer) -> None:
    redis.start()

    async def run() -> list[list[int]]:
        workers = [RedisCounters(redis.url, b"secret"), RedisCounters(redis.url, b"secret")]
        counted = [await numbers(worker, 2) for worker in (*workers, workers[0])]
        for worker in workers:
            await worker.close()
        return counted

    assert asyncio.run(run()) == [[1, 2], [3, 4], [5, 6]]
    keys = redis.command(b"KEYS *")
    assert re.fullmatch(rb"\*1\r\n\$\d+\r\ntodo-api:[0-9a-f]{32}\r\n", keys)
    key = keys.split(b"\r\n")[2]
    assert 0 < int(redis.command(b"TTL " + key)[1:]) <= 86400


@pytest.mark.usefixtures("patient")
def test_hit_redis_goes_and_comes_back_counts_here_meanwhile_and_says_so_once(
    redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    redis.start()

    async def run() -> list[list[int]]:
        shared = RedisCounters(redis.url, b"secret")
        counted = [await numbers(shared, 2)]
        redis.stop()
        counted.append(await numbers(shared, 3))
        await asyncio.to_thread(redis.start)
        await _until(lambda: BACK in caplog.text)
        counted.append(await numbers(shared, 2))
        await shared.close()
        return counted

    assert asyncio.run(run()) == [[1, 2], [1, 2, 3], [1, 2]]
    assert (caplog.text.count(AWAY), caplog.text.count(BACK)) == (1, 1)


def test_hit_redis_hangs_waits_once_and_goes_on(
    redis: RedisServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    redis.start()
    asked = 0

    async def run() -> tuple[list[int], float, tuple[int, int], list[int]]:
        shared = RedisCounters(redis.url, b"secret")
        await numbers(shared, 1)
        while shared._probe is not None:  # a busy machine took it for away
            await _until(lambda: shared._probe is None)
            await numbers(shared, 1)
        caplog.clear()
        redis.hang()
        ask = shared._increment

        async def counted(**arguments: Any) -> int:
            nonlocal asked
            asked += 1
            return await ask(**arguments)

        with monkeypatch.context() as patch:
            patch.setattr(shared, "_increment", counted)
            began = time.perf_counter()
            together = await asyncio.gather(*(numbers(shared, 5) for _ in range(40)))
            spent = time.perf_counter() - began
        redis.go_on()
        await _until(lambda: BACK in caplog.text)
        told = (caplog.text.count(AWAY), caplog.text.count(BACK))
        after = await numbers(shared, 1)
        await shared.close()
        return [len(counted) for counted in together], spent, told, after

    lengths, spent, told, after = asyncio.run(run())
    assert lengths == [5] * 40
    assert spent > TIMEOUT * 0.9
    assert asked == 40  # all of them wait together, once
    assert after[0] > 1
    assert told == (1, 1)


def test_hit_while_redis_is_away_looks_for_it_no_more_often_than_once_a_pause(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sharing.PROBE_INTERVAL == 1
    monkeypatch.setattr(sharing, "PROBE_INTERVAL", 3600)
    looks = 0

    async def run() -> None:
        nonlocal looks
        shared = RedisCounters(redis.url, b"secret")
        await shared.start()

        async def look() -> None:
            nonlocal looks
            looks += 1

        monkeypatch.setattr(shared, "_ping", look)
        assert await numbers(shared, 100) == list(range(1, 101))
        await asyncio.sleep(0.1)
        await shared.close()

    asyncio.run(run())
    assert looks == 0


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("redis://:of-the-tests@127.0.0.1:1/0", "127.0.0.1:1"),
        ("unix://:of-the-tests@/nowhere/redis.sock", "/nowhere/redis.sock"),
    ],
)
def test_start_while_redis_is_away_says_where_and_why_without_the_password(
    url: str, place: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        shared = RedisCounters(url, b"secret")
        await shared.start()
        await shared.close()

    asyncio.run(run())
    assert f"{AWAY} at {place} (ConnectionError: Error " in caplog.text
    assert "of-the-tests" not in caplog.text


def test_failure_that_quotes_the_password_is_told_by_its_kind(caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        shared = RedisCounters("redis://:of-the-tests@127.0.0.1:1/0", b"secret")

        async def refuse() -> int:
            raise ResponseError("unknown command `AUTH`, with args beginning with: `of-the-tests`")

        await shared.call_or_fallback(refuse, lambda: 0)
        await shared.close()

    asyncio.run(run())
    assert f"{AWAY} at 127.0.0.1:1 (ResponseError). " in caplog.text


def test_close_while_redis_is_away_ends_the_looks_for_it(redis: RedisServer) -> None:
    async def run() -> None:
        shared = RedisCounters(redis.url, b"secret")
        await shared.start()
        assert len(asyncio.all_tasks()) == 2
        await shared.close()
        await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(run())


@pytest.mark.usefixtures("patient")
def test_redis_is_back_when_it_answers_and_not_before(
    redis: RedisServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharing, "PROBE_INTERVAL", 0)
    looks = 0

    async def run() -> list[int]:
        nonlocal looks
        shared = RedisCounters(redis.url, b"secret")
        disconnect = shared._pool.disconnect

        async def look(**options: bool) -> None:
            nonlocal looks
            looks += 1
            await disconnect(**options)

        monkeypatch.setattr(shared._pool, "disconnect", look)
        await shared.start()
        await _until(lambda: looks >= 5)
        assert BACK not in caplog.text
        await asyncio.to_thread(redis.start)
        await _until(lambda: BACK in caplog.text)
        counted = await numbers(shared, 2)
        await shared.close()
        return counted

    assert asyncio.run(run()) == [1, 2]
    assert (caplog.text.count(AWAY), caplog.text.count(BACK)) == (1, 1)


async def _until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SLACK
    while not is_so():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


def _until_said(live: Live, what: str) -> None:
    """Until both workers have said so."""
    deadline = time.monotonic() + SLACK
    while live.output().count(what) < 2:
        assert time.monotonic() < deadline, live.output()
        time.sleep(0.05)


def _undisturbed(live: Live, user: str, count: int) -> list[int]:
    """Return the statuses of as many requests of a user, during which both workers reached Redis.

    A worker of a busy machine may take it for away: then another user asks.
    """
    for number in itertools.count():
        before = live.output().count(AWAY)
        statuses = [live.request("GET", TASKS, token=token(f"{user}{number or ''}")).status for _ in range(count)]
        if live.output().count(AWAY) == before == live.output().count(BACK):
            return statuses
        assert number < SLACK, live.output()
        time.sleep(1)
    raise AssertionError


def _serve(folder: Path, url: str, redis: RedisServer, **settings: str) -> Live:
    options = {"DATABASE_URL": url, "JWT_SECRET": SECRET, "RATE_LIMIT_STORAGE_URL": redis.url, **settings}
    return Live(folder, "--workers", "2", **options)


def test_serve_with_two_workers_and_redis_holds_one_limit(tmp_path: Path, url: str, redis: RedisServer) -> None:
    redis.start()
    with _serve(tmp_path, url, redis, RATE_LIMIT="20/day") as live:
        live.ready()
        assert _undisturbed(live, "shared", 30) == [200] * 20 + [429] * 10


def test_serve_redis_away_from_the_start_serves_limits_per_worker_and_takes_redis_when_it_comes(
    tmp_path: Path, url: str, redis: RedisServer
) -> None:
    with _serve(tmp_path, url, redis, RATE_LIMIT="5/day") as live:
        live.ready()
        _until_said(live, AWAY)
        ada = token("alone")
        statuses = [live.request("GET", TASKS, token=ada).status for _ in range(30)]
        assert 5 <= statuses.count(200) <= 10
        assert statuses.count(200) + statuses.count(429) == 30
        assert live.output().count(AWAY) == 2  # each worker once
        redis.start()
        _until_said(live, BACK)
        assert _undisturbed(live, "alone", 7) == [200] * 5 + [429] * 2


@pytest.mark.usefixtures("patient")
def test_attempts_of_two_workers_are_counted_together_and_familiar_pairs_known_to_both(redis: RedisServer) -> None:
    redis.start()
    key = CounterKey("account", Backoff(free=4, longest=60))

    async def run() -> tuple[list[int], bool, list[int]]:
        shared = [RedisCounters(redis.url, b"secret"), RedisCounters(redis.url, b"secret")]
        one, two = (AttemptCounters(KnownLogins(64), counters) for counters in shared)
        waits = [
            await worker.begin([key, CounterKey("address", Backoff(100, 60))]) for worker in (one, two, one, two, one)
        ]
        await one.refund([key])
        waits.append(await two.begin([key]))
        await one.remember("somebody@example.com from 192.0.2.1")
        known = await two.is_known("somebody@example.com from 192.0.2.1")
        await two.forget(key)
        after = [await one.begin([key]) for _ in range(4)]
        for counters in shared:
            await counters.close()
        return waits, known, after

    waits, known, after = asyncio.run(run())
    assert waits == [0, 0, 0, 0, 1, 0]
    assert known
    assert after == [0] * 4
    assert b"example.com" not in redis.command(b"KEYS *")


@pytest.mark.usefixtures("patient")
def test_attempt_right_after_the_last_free_one_waits_no_longer_than_its_delay(redis: RedisServer) -> None:
    """At whatever fraction of a second the attempt before it was."""
    redis.start()

    async def run() -> list[int]:
        shared = RedisCounters(redis.url, b"secret")
        attempts, waits = AttemptCounters(KnownLogins(64), shared), []
        for number in range(200):
            key = CounterKey(f"account {number}", Backoff(free=1, longest=60))
            assert await attempts.begin([key]) == 0
            waits.append(await attempts.begin([key]))
        await shared.close()
        return waits

    assert max(asyncio.run(run())) == 1
