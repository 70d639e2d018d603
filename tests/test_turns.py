"""Turns, and the load that turns requests away."""

import asyncio
import time

import pytest

from todo_api.pipeline import turns as rule
from todo_api.pipeline.rejections import Overloaded
from todo_api.pipeline.turns import BEAT, BURST, FIFTH, FIFTHS, Load, Turns

SECOND = FIFTH * FIFTHS
"""Beats that are remembered."""


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


class Clock:
    """The time that the rule sees: it stands still while nobody sleeps, however slow the machine."""

    now = 100.0

    def sleep(self, seconds: float) -> None:
        """Lets them pass."""
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(rule, "perf_counter", lambda: clock.now)
    return clock


def overloaded(clock: Clock, limit: float, able: int = 0) -> Load:
    """A load that turns requests away, of which both turns are taken, and which could answer so many a second before."""
    load, turn = Load(limit), waiter()
    load.turns = load.taken = load.answering = 2
    go_on(clock, load, able)
    load.add(turn)
    clock.sleep(limit * (BURST + 1))
    assert load.is_too_much()
    assert isinstance(turn.exception(), Overloaded)
    return load


def go_on(clock: Clock, load: Load, answers: int) -> None:
    """A second in which so many requests come and are answered, each in a millisecond, as the load's beats tell it."""
    for beat in range(SECOND):
        for _ in range((beat + 1) * answers // SECOND - beat * answers // SECOND):
            load.pace.came += 1
            load.pace.answer(0.001)
        load.pace.beat(clock.now + (beat - SECOND) * BEAT)


def test_load_lets_a_burst_wait_and_turns_away_what_would_wait_for_longer(clock: Clock) -> None:
    async def main() -> None:
        load, turn = Load(limit=0.02), waiter()
        load.turns = load.taken = load.answering = 1
        assert not load.is_too_much()
        load.add(turn)
        clock.sleep(0.03)
        assert not load.is_too_much()  # a burst
        assert not turn.done()
        clock.sleep(0.02 * BURST + 0.001)
        assert load.is_too_much()
        assert isinstance(turn.exception(), Overloaded)
        load.answering = 0
        assert not load.is_too_much()  # one that comes alone

    asyncio.run(main())


def test_load_in_overload_ends_when_no_more_come_than_can_be_answered(clock: Clock) -> None:
    async def main() -> None:
        load = overloaded(clock, 0.02, able=500)
        for _ in range(3):
            assert all(load.is_too_much() for _ in range(80))  # more than can be answered in the time of a burst
            clock.sleep(0.02 * BURST + 0.001)
        load.taken = 0
        for _ in range(2):
            assert load.is_too_much() in (True, False)  # as much as can be, in the rest of that time
            clock.sleep(0.02 * BURST + 0.001)
        assert not any(load.is_too_much() for _ in range(20))
        assert not load.overloaded

    asyncio.run(main())


def test_load_in_overload_lets_in_no_more_than_were_answered_before(clock: Clock) -> None:
    async def main() -> float:
        load = overloaded(clock, 0.02, able=500)
        load.taken = 0
        let_in = 0
        for _ in range(1000):
            let_in += not load.is_too_much()  # more than can be answered
            clock.sleep(0.0005)
        assert load.overloaded
        return let_in / 0.5

    assert 100 < asyncio.run(main()) < 600


def test_load_in_overload_lets_in_fewer_while_they_take_longer_than_before(clock: Clock) -> None:
    async def main(seconds: float) -> float:
        load = overloaded(clock, 0.02, able=500)
        rate = load._rate
        for _ in range(6):
            for _ in range(200):
                load.is_too_much()
            load.pace.answer(seconds)
            clock.sleep(0.02 * BURST + 0.001)
        return load._rate / rate

    assert asyncio.run(main(0.003)) < 0.7
    assert 1.1 < asyncio.run(main(0.001)) < 1.4


def test_load_that_grows_past_what_can_be_answered_is_overload_sooner_than_a_burst(clock: Clock) -> None:
    async def main(before: int, came: int) -> bool:
        load, turn = Load(limit=0.02), waiter()
        load.turns = load.taken = load.answering = 1
        go_on(clock, load, before)
        load.is_too_much()
        load.add(turn)
        for _ in range(5):
            clock.sleep(0.01)
            load.pace.came += came
            load.pace.beat(clock.now)
            load.is_full()
        return load.overloaded

    assert [asyncio.run(main(200, came)) for came in (0, 2, 10)] == [False, False, True]
    # Where little came before, it is not known what can be answered.
    assert [asyncio.run(main(before, 10)) for before in (0, 5)] == [False, False]


def test_load_in_overload_is_tried_again_after_a_while_though_all_who_come_are_turned_away(
    monkeypatch: pytest.MonkeyPatch,
    clock: Clock,
) -> None:
    monkeypatch.setattr(rule, "TRIAL", 0.1)

    async def main() -> None:
        load, turn = overloaded(clock, 0.02), waiter()
        clock.sleep(0.1)
        assert not load.is_too_much()  # a trial
        load.add(turn)
        clock.sleep(0.03)
        assert load.is_too_much()  # which fails, for somebody waits
        assert isinstance(turn.exception(), Overloaded)
        assert all(load.is_too_much() for _ in range(20))
        clock.sleep(0.15)
        assert load.is_too_much()  # the next is after twice the time
        clock.sleep(0.05)
        assert not load.is_too_much()

    asyncio.run(main())


def test_load_knows_how_late_the_event_loop_is() -> None:
    async def block() -> list[bool]:
        load = Load(limit=0.02)
        load.answering, load.turns = 1, 8
        async with load:
            await asyncio.sleep(0.02)
            before = load.is_too_much()
            time.sleep(0.02 * BURST + 0.1)  # an event loop that is late is the matter here
            for _ in range(3):
                await asyncio.sleep(0)
            late = load.is_too_much()
            await asyncio.sleep(0.02 * BURST + 0.05)
            return [before, late, load.is_too_much()]

    assert asyncio.run(block()) == [False, True, False]


def test_load_in_overload_lets_in_who_finds_half_of_the_turns_free(clock: Clock) -> None:
    async def main() -> list[bool]:
        load = overloaded(clock, 0.02, able=10_000)
        load.taken, turns, found = 0, Turns(4, load), []
        clock.sleep(0.01)
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
