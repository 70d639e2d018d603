"""Turns, and the load that turns requests away."""

import asyncio
import time

import pytest

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


def test_load_turns_away_what_would_wait_for_longer_than_a_burst_and_ends_with_the_queue() -> None:
    async def main() -> None:
        load = Load(limit=0.02)
        load.answering = 1
        assert not load.is_too_much()
        turn = asyncio.get_running_loop().create_future()
        load.add(turn)
        time.sleep(0.03)
        assert not load.is_too_much()  # a burst
        time.sleep(0.02 * BURST)
        assert load.is_too_much()
        load.answering = 0
        assert not load.is_too_much()  # one that comes alone
        load.answering = 1
        turn.set_result(None)
        assert not load.is_too_much()  # none waits
        turn = asyncio.get_running_loop().create_future()
        load.add(turn)
        time.sleep(0.03)
        assert load.is_too_much()  # still overloaded: no second burst so soon
        turn.set_result(None)
        time.sleep(0.02 * BURST)
        assert not load.is_too_much()
        load.add(asyncio.get_running_loop().create_future())
        time.sleep(0.03)
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
