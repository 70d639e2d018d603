"""Counting in the memory of a process: windows, their borders, and what many keys cost."""

import asyncio
from collections.abc import Callable, Coroutine
from time import process_time
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.types import Scope

from todo_api.http.errors import RateLimited
from todo_api.throttling import rate_limit
from todo_api.throttling.client_address import ClientAddresses
from todo_api.throttling.counters import LocalCounters, window
from todo_api.throttling.rate_limit import Rate, RateLimiter


async def is_refused(
    ask: Callable[[Scope], Coroutine[Any, Any, None]], address: str, subject: str | None = None
) -> bool:
    """Whether a request from the address, of the user, is beyond the limit."""
    state = {"record": SimpleNamespace(subject=subject), "headers": []}
    try:
        await ask({"type": "http", "client": (address, 1), "headers": [], "state": state})
    except RateLimited:
        return True
    return False


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


def test_hit_by_a_clock_that_was_set_back_begins_anew() -> None:
    memory = LocalCounters()
    assert [memory.increment("a", 60, now).number for now in (1060, 1060, 1000, 1000)] == [1, 2, 1, 2]


def test_windows_of_keys_do_not_all_end_at_one_moment() -> None:
    assert len({window(f"user {number}", 60, 1000)[1] for number in range(200)}) > 30


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

    async def run() -> None:
        addresses = [f"192.0.2.{number}" for number in range(10)]
        assert [await is_refused(limit.count, address) for address in addresses] == [False] * 10
        for _ in range(2):
            assert [await is_refused(limit.count, address) for address in addresses] == [True] * 10
            assert len(limit._exceeded) <= 3

    asyncio.run(run())


def test_users_over_their_limit_make_no_address_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limit, "MAX_KEYS", 3)
    monkeypatch.setattr(rate_limit, "REFUSAL_DELAY", 0)
    limit = RateLimiter(Rate(1, 86400), ClientAddresses())

    async def run() -> None:
        assert not await is_refused(limit.count, "192.0.2.1")
        for number in range(10):
            for refused in (False, True):
                assert await is_refused(limit.count, "192.0.2.9", f"user {number}") == refused
        assert await is_refused(limit.check, "192.0.2.1")
        assert not await is_refused(limit.check, "192.0.2.9")

    asyncio.run(run())
