"""How attempts at a password are remembered and forgotten: in a process by a clock of the test's own, and in a real Redis."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import pytest

from tests.support.live import SLACK
from tests.support.redis_server import RedisServer
from todo_api.throttling import attempts as counting
from todo_api.throttling import redis as sharing
from todo_api.throttling.attempts import (
    ATTEMPT_TTL,
    KNOWN_LOGIN_TTL,
    AttemptCounters,
    Backoff,
    CounterKey,
    KnownLogins,
    _LocalAttempts,
)
from todo_api.throttling.redis import RedisCounters

PAIR = "ada@example.com from 192.0.2.1"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, in seconds since 1970, for tests to move on."""
    now = [1_800_000_000.0]
    monkeypatch.setattr(counting, "time", lambda: now[0])
    return now


def key(free: int = 2, name: str = "account") -> CounterKey:
    return CounterKey(name, Backoff(free=free, longest=60))


@pytest.mark.parametrize(
    ("after", "waits"), [(ATTEMPT_TTL - 1, [0, 4]), (ATTEMPT_TTL, [0, 0, 1]), (ATTEMPT_TTL + 1, [0, 0, 1])]
)
def test_begin_after_a_day_without_an_attempt_begins_anew_and_not_before(
    clock: list[float], after: int, waits: list[int]
) -> None:
    """The day begins when the last attempt's delay is over."""
    local = _LocalAttempts()
    assert [local.begin([key()]) for _ in range(3)] == [0, 0, 1]
    clock[0] += 1
    assert local.begin([key()]) == 0
    clock[0] += 2 + after
    assert [local.begin([key()]) for _ in waits] == waits


def test_begin_of_several_keys_waits_for_the_longest_and_counts_none_meanwhile(clock: list[float]) -> None:
    local, account, address = _LocalAttempts(), key(1, "account"), key(2, "address")
    assert [local.begin([account]), local.begin([address]), local.begin([account, address])] == [0, 0, 1]
    clock[0] += 1
    assert local.begin([account, address]) == 0
    assert [local.begin([account]), local.begin([address])] == [2, 1]


def test_begin_waits_until_the_delay_is_over_and_no_longer(clock: list[float]) -> None:
    local = _LocalAttempts()
    assert [local.begin([key(1)]), local.begin([key(1)])] == [0, 1]
    clock[0] += 0.5
    assert local.begin([key(1)]) == 1
    clock[0] += 0.5
    assert local.begin([key(1)]) == 0


def test_give_back_takes_the_latest_attempt_alone_and_ends_its_wait(clock: list[float]) -> None:
    local = _LocalAttempts()
    assert [local.begin([key()]) for _ in range(3)] == [0, 0, 1]
    local.refund([key()])
    assert [local.begin([key()]) for _ in range(2)] == [0, 1]


def test_give_back_of_the_only_attempt_leaves_nothing() -> None:
    local = _LocalAttempts()
    local.begin([key()])
    local.refund([key(), key(name="never begun")])
    assert local._seen == {}


def test_forget_takes_all_attempts_of_the_key_and_of_no_other(clock: list[float]) -> None:
    local, other = _LocalAttempts(), key(name="other")
    for _ in range(2):
        local.begin([key(), other])
    local.forget(key())
    assert [local.begin([key()]), local.begin([other])] == [0, 1]


def test_pairs_that_share_a_bucket_are_known_until_it_is_full_however_often_they_sign_in() -> None:
    pairs = KnownLogins(size=8)
    for _ in range(3):
        for number in range(8):
            pairs.add(f"pair {number}")
    assert [f"pair {number}" in pairs for number in range(8)] == [True] * 8
    pairs.add("one more")
    assert "one more" in pairs
    assert [f"pair {number}" in pairs for number in range(8)].count(True) == 7


def test_pairs_are_spread_over_all_buckets() -> None:
    pairs = KnownLogins(size=8 * 64)
    for number in range(300):
        pairs.add(f"pair {number}")
    assert sum(f"pair {number}" in pairs for number in range(300)) > 250


@pytest.fixture
def redis(monkeypatch: pytest.MonkeyPatch) -> Iterator[RedisServer]:
    """Not started yet. It may take as long as a busy machine takes, and not the tenth of a second of a service."""
    monkeypatch.setattr(sharing, "TIMEOUT", SLACK)
    with RedisServer() as server:
        yield server


def run(redis: RedisServer, test: Callable[[AttemptCounters, AttemptCounters], Awaitable[None]]) -> None:
    """Run a test with the attempts of two workers."""

    async def main() -> None:
        workers = [RedisCounters(redis.url, b"secret") for _ in range(2)]
        try:
            await test(*(AttemptCounters(KnownLogins(64), worker) for worker in workers))
        finally:
            for worker in workers:
                await worker.close()

    asyncio.run(main())


def life(redis: RedisServer) -> list[int]:
    """The seconds for which Redis keeps its keys."""
    names = redis.command(b"KEYS *").split(b"\r\n")[2::2]
    return sorted(int(redis.command(b"TTL " + name)[1:]) for name in names)


def test_redis_keeps_attempts_for_a_day_and_familiar_pairs_for_ninety(redis: RedisServer) -> None:
    redis.start()

    async def test(one: AttemptCounters, _: AttemptCounters) -> None:
        assert await one.begin([key()]) == 0
        await one.remember(PAIR)

    run(redis, test)
    attempts, pair = life(redis)
    assert ATTEMPT_TTL - 60 < attempts <= ATTEMPT_TTL == 86400
    assert KNOWN_LOGIN_TTL - 60 < pair <= KNOWN_LOGIN_TTL == 90 * 86400


def test_redis_counts_each_key_by_its_own_allowance_and_waits_for_the_longest(redis: RedisServer) -> None:
    redis.start()
    account, address = key(3, "account"), CounterKey("address", Backoff(free=2, longest=1000))

    async def test(one: AttemptCounters, two: AttemptCounters) -> None:
        assert [await one.begin([account, address]), await two.begin([account, address])] == [0, 0]
        assert [await one.begin([account, address]), await two.begin([account])] == [1, 0]
        await two.refund([account])
        assert await one.begin([account]) == 0

    run(redis, test)


def test_redis_keeps_nothing_of_attempts_that_were_given_back(redis: RedisServer) -> None:
    redis.start()

    async def test(one: AttemptCounters, two: AttemptCounters) -> None:
        for _ in range(2):
            assert await one.begin([key(5, "a"), key(5, "b")]) == 0
        for worker in (one, two):
            await worker.refund([key(5, "a"), key(5, "b")])
        await two.refund([])

    run(redis, test)
    assert life(redis) == []


def test_each_worker_goes_on_by_itself_while_redis_is_away(redis: RedisServer) -> None:
    async def test(one: AttemptCounters, two: AttemptCounters) -> None:
        assert [await one.begin([key()]) for _ in range(3)] == [0, 0, 1]
        assert await two.begin([key()]) == 0
        await one.refund([key()])
        assert [await one.begin([key()]) for _ in range(2)] == [0, 1]
        await one.forget(key())
        assert [await one.begin([key()]) for _ in range(3)] == [0, 0, 1]
        await one.remember(PAIR)
        assert [await worker.is_known(PAIR) for worker in (one, two)] == [True, False]

    run(redis, test)
