"""Counting in the memory of a process: windows, their borders, and what many keys cost."""

import asyncio
from time import process_time
from types import SimpleNamespace

import pytest

from todo_api.http.errors import RateLimited
from todo_api.throttling import rate_limit
from todo_api.throttling.client_address import ClientAddresses
from todo_api.throttling.counters import LocalCounters, window
from todo_api.throttling.rate_limit import Rate, RateLimiter


def test_hit_counts_each_key_for_itself() -> None:
    memory = LocalCounters()
    assert [memory.increment(key, 60, 0).number for key in ("a", "a", "b", "a")] == [1, 2, 1, 3]


def test_hit_begins_anew_at_the_border_of_the_window_and_says_when_that_is() -> None:
    memory = LocalCounters()
    _, left = window("a", 60, 1000)
    assert 1 <= left <= 60
    assert memory.increment("a", 60, 1000) == (1, left)
    assert memory.increment("a", 60, 1000 + left - 1) == (2, 1)
    assert memory.increment("a", 60, 1000 + left) == (1, 60)


def test_windows_of_keys_do_not_all_end_at_one_moment() -> None:
    assert len({window(f"user {number}", 60, 1000).left for number in range(200)}) > 30


def test_hit_of_more_keys_than_are_kept_forgets_those_not_met_for_longest() -> None:
    memory = LocalCounters(max_keys=3)
    for key in ("kept", "old", "b"):
        memory.increment(key, 60, 0)
    for key in ("c", "kept", "d", "e", "kept"):
        memory.increment(key, 60, 0)
    assert memory.increment("kept", 60, 0).number == 4
    assert memory.increment("old", 60, 0).number == 1


def test_hit_costs_the_same_however_many_keys_there_are() -> None:
    memory = LocalCounters(max_keys=50_000)
    for number in range(100_000):
        memory.increment(f"from {number}", 60)
    began = process_time()
    for _ in range(10_000):
        memory.increment("user", 60)
    assert process_time() - began < 0.5  # the library's store needs 70 s for as many


def test_addresses_over_their_limit_are_remembered_by_no_more_than_so_many_and_all_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rate_limit, "MAX_KEYS", 3)
    monkeypatch.setattr(rate_limit, "REFUSAL_DELAY", 0)
    limit = RateLimiter(Rate(1, 86400), ClientAddresses())

    async def is_refused(address: str) -> bool:
        record = SimpleNamespace(subject=None)
        state = {"record": record, "headers": []}
        try:
            await limit.count({"type": "http", "client": (address, 1), "headers": [], "state": state})
        except RateLimited:
            return True
        return False

    async def run() -> None:
        addresses = [f"192.0.2.{number}" for number in range(10)]
        assert [await is_refused(address) for address in addresses] == [False] * 10
        for _ in range(2):
            assert [await is_refused(address) for address in addresses] == [True] * 10
            assert len(limit._exceeded) <= 3

    asyncio.run(run())
