"""Turns, and the load that turns requests away."""

import asyncio
import time

import pytest

from todo_api.pipeline import turns as rule
from todo_api.pipeline.rejections import Overloaded
from todo_api.pipeline.turns import BURST, Load, Turns


async def take(turns: Turns, name: str, order: list[str], gate: asyncio.Event) -> None:
    async with turns:
        order.append(name)
        await gate.wait()


def test_turns_are_so_many_at_once_and_in_order() -> None:
    async def main() -> tuple[list[str], list[str]]:
        turns, gate, order = Turns(2), asyncio.Event(), list[str]()
        tasks = [asyncio.create_task(take(turns, name, order, gate)) for name in "abcde"]
        await asyncio.sleep(0.01)
        at_once = list(order)
        gate.set()
        await asyncio.gather(*tasks)
        return at_once, order

    assert asyncio.run(main()) == (["a", "b"], ["a", "b", "c", "d", "e"])


def test_turn_given_up_while_waiting_goes_to_the_next() -> None:
    async def main() -> list[str]:
        turns, gate, order = Turns(1), asyncio.Event(), list[str]()
        tasks = [asyncio.create_task(take(turns, name, order, gate)) for name in ("first", "leaver", "last")]
        await asyncio.sleep(0.01)
        tasks[1].cancel()
        gate.set()
        await asyncio.gather(*tasks, return_exceptions=True)
        await take(turns, "later", order, gate)
        return order

    assert asyncio.run(main()) == ["first", "last", "later"]


def test_turn_given_up_at_the_moment_it_comes_is_handed_on() -> None:
    async def main() -> list[str]:
        turns, gate, order = Turns(1), asyncio.Event(), list[str]()
        gate.set()
        await turns.__aenter__()
        leaver, last = (asyncio.create_task(take(turns, name, order, gate)) for name in ("leaver", "last"))
        await asyncio.sleep(0.01)
        await turns.__aexit__()
        leaver.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaver
        await asyncio.wait_for(last, 5)
        return order

    assert asyncio.run(main()) == ["last"]


def waiter() -> "asyncio.Future[None]":
    return asyncio.get_running_loop().create_future()


def overloaded(limit: float) -> Load:
    """A load that turns requests away, of which both turns are taken."""
    load, turn = Load(limit), waiter()
    load.turns = load.taken = load.answering = 2
    load.add(turn)
    time.sleep(limit * (BURST + 1))
    assert load.is_too_much()
    assert isinstance(turn.exception(), Overloaded)
    return load


def test_load_lets_a_burst_wait_and_turns_away_what_would_wait_for_longer() -> None:
    async def main() -> None:
        load, turn = Load(limit=0.02), waiter()
        load.turns = load.taken = load.answering = 1
        assert not load.is_too_much()
        load.add(turn)
        time.sleep(0.03)
        assert not load.is_too_much()  # a burst
        assert not turn.done()
        time.sleep(0.02 * BURST)
        assert load.is_too_much()
        assert isinstance(turn.exception(), Overloaded)
        load.answering = 0
        assert not load.is_too_much()  # one that comes alone

    asyncio.run(main())


def test_load_in_overload_ends_when_few_were_turned_away_for_as_long_as_a_burst() -> None:
    async def main() -> None:
        load = overloaded(0.02)
        for _ in range(3):
            time.sleep(0.02 * BURST)
            assert load.is_too_much()  # all who come are turned away
        load.taken = 0
        assert not any(load.is_too_much() for _ in range(20))
        time.sleep(0.02 * BURST)
        load.taken = 2
        assert not load.is_too_much()  # one of twenty was
        load.add(waiter())
        time.sleep(0.03)
        assert not load.is_too_much()  # a burst again

    asyncio.run(main())


def test_load_in_overload_is_tried_again_after_a_while_though_all_who_come_are_turned_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rule, "TRIAL", 0.1)

    async def main() -> None:
        load, turn = overloaded(0.02), waiter()
        time.sleep(0.1)
        assert not load.is_too_much()  # a trial
        load.add(turn)
        time.sleep(0.03)
        assert load.is_too_much()  # which fails, for somebody waits
        assert isinstance(turn.exception(), Overloaded)
        time.sleep(0.15)
        assert load.is_too_much()  # the next is after twice the time
        time.sleep(0.05)
        assert not load.is_too_much()

    asyncio.run(main())


def test_load_knows_how_late_the_event_loop_is() -> None:
    async def block() -> list[bool]:
        load = Load(limit=0.02)
        load.answering = 1
        async with load:
            await asyncio.sleep(0.02)
            before = load.is_too_much()
            time.sleep(0.02 * BURST + 0.1)  # an event loop that is late is the matter here
            for _ in range(3):
                await asyncio.sleep(0)
            late = load.is_too_much()
            await asyncio.sleep(0.05)
            return [before, late, load.is_too_much()]

    assert asyncio.run(block()) == [False, True, False]


def test_load_in_overload_lets_in_who_finds_half_of_the_turns_free() -> None:
    async def main() -> list[bool]:
        load = overloaded(0.02)
        load.taken, turns, found = 0, Turns(4, load), []
        for _ in range(4):
            found.append(load.is_too_much())
            await turns.__aenter__()
        for _ in range(2):
            await turns.__aexit__()
        return [*found, load.is_too_much()]

    assert asyncio.run(main()) == [False, False, False, True, False]


def test_turn_that_is_waited_for_when_overload_begins_is_refused_and_the_others_go_on() -> None:
    async def main() -> None:
        load = Load(limit=0.02)
        turns = Turns(1, load)
        load.answering = 2
        async with turns:
            late = asyncio.ensure_future(turns.__aenter__())
            await asyncio.sleep(0)
            time.sleep(0.02 * (BURST + 1))  # an event loop that is late is the matter here
            assert load.is_too_much()
            with pytest.raises(Overloaded):
                await late
        async with asyncio.timeout(1), turns:
            assert load.taken == 1

    asyncio.run(main())
