"""Admission control: who gets a slot, who waits for how long, and who is refused. On a clock of its own, however slow the machine."""

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from math import inf
from typing import Any

import pytest

from tests.support.clock import Clock
from todo_api.admission import ANONYMOUS, AdmissionControl
from todo_api.admission.control import LOOK_SECONDS
from todo_api.errors import Overloaded

LIMIT = 0.2
ADA, BOB, EVE = "ada", "bob", "eve"


class Requests:
    """Requests to one admission control, by name."""

    def __init__(self, slots: int) -> None:
        self.clock = Clock()
        self.loop = self.clock.new_loop()
        self.admission = AdmissionControl(slots, LIMIT, lambda: self.clock.now)
        self.begun: list[str] = []
        self.refused: list[str] = []
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._ends: dict[str, asyncio.Event] = {}

    def send(self, *names: str, user: str | None = None, since: float = -1.0) -> None:
        """Send requests in this order, of the user that is the name's first part."""
        for name in names:
            self._ends[name] = asyncio.Event()
            whose = name.split(" ", maxsplit=1)[0] if user is None else user
            read_at = self.clock.now if since == -1.0 else since
            self._tasks[name] = self.loop.create_task(self._request(name, whose, read_at))
        self.go_on()

    async def _request(self, name: str, user: str, since: float) -> None:
        try:
            await self.admission.acquire(user, since)
        except Overloaded:
            self.refused.append(name)
            assert self.clock.now >= since + LIMIT, "refused before the limit"
            return
        try:
            self.begun.append(name)
            await self._ends[name].wait()
        finally:
            self.admission.release(user)

    def end(self, *names: str) -> None:
        """Have them answered, one after the other."""
        for name in names:
            self._ends[name].set()
            self.go_on()

    def leave(self, name: str) -> None:
        """Cancel it. Does not run anything yet."""
        self._tasks[name].cancel()

    def finish(self, name: str) -> None:
        """Have it answered. Does not run anything yet."""
        self._ends[name].set()

    def go_on(self) -> None:
        """Run all that can run at this time."""

        async def settle() -> None:
            for _ in range(10):
                await asyncio.sleep(0)

        self.run(settle())

    def pass_time(self, seconds: float) -> None:
        """Let it pass, with all that happens meanwhile."""
        self.run(asyncio.sleep(seconds))
        self.go_on()

    def stand_still(self, seconds: float) -> None:
        """Let it pass for a process that does not run."""
        self.clock.now += seconds
        self.go_on()

    def run(self, work: Coroutine[Any, Any, Any]) -> None:
        self.loop.run_until_complete(work)


@contextmanager
def requests(slots: int) -> Iterator[Requests]:
    made = Requests(slots)
    try:
        yield made
    finally:
        for task in made._tasks.values():
            task.cancel()
            with suppress(asyncio.CancelledError):
                made.loop.run_until_complete(task)
        made.loop.close()


def test_slot_is_given_to_as_many_as_there_are_and_then_in_order() -> None:
    with requests(2) as sent:
        sent.send("ada 1", "bob 1", "ada 2", "bob 2", "eve 1")
        assert sent.begun == ["ada 1", "bob 1"]
        sent.end("ada 1", "bob 1", "ada 2")
        assert sent.begun == ["ada 1", "bob 1", "ada 2", "bob 2", "eve 1"]


def test_wait_is_refused_at_the_limit_and_not_before() -> None:
    with requests(1) as sent:
        sent.send("ada 1", "bob 1")
        sent.pass_time(LIMIT / 2)
        sent.send("eve 1")
        sent.pass_time(LIMIT / 2 - 0.001)
        assert sent.refused == []
        sent.pass_time(0.001 + LOOK_SECONDS)
        assert sent.refused == ["bob 1"]
        sent.pass_time(LIMIT / 2 - LOOK_SECONDS - 0.001)
        assert sent.refused == ["bob 1"]
        sent.pass_time(0.001 + LOOK_SECONDS)
        assert sent.refused == ["bob 1", "eve 1"]
        assert sent.begun == ["ada 1"]


def test_queue_is_looked_at_only_while_somebody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    with requests(1) as sent:
        looks: list[float] = []
        look = AdmissionControl._look
        monkeypatch.setattr(sent.admission, "_look", lambda: looks.append(sent.clock.now) or look(sent.admission))
        for number in (1, 2):
            sent.send(f"ada {number}", f"bob {number}")
            sent.pass_time(2 * LIMIT)
            assert f"bob {number}" in sent.refused
            assert len(looks) in (LIMIT // LOOK_SECONDS, LIMIT // LOOK_SECONDS + 1)
            looks.clear()
            sent.end(f"ada {number}")


def test_wait_counts_from_when_the_request_was_read() -> None:
    with requests(1) as sent:
        began = sent.clock.now
        sent.send("ada 1")
        sent.send("bob 1", since=began - 0.15)
        sent.send("eve 1", since=began + 0.05)
        for name, seconds in (("bob 1", LIMIT - 0.15), ("eve 1", LIMIT + 0.05)):
            sent.pass_time(began + seconds - 0.001 - sent.clock.now)
            assert name not in sent.refused
            sent.pass_time(0.001 + LOOK_SECONDS)
            assert name in sent.refused


def test_request_that_has_waited_elsewhere_takes_a_free_slot_all_the_same() -> None:
    with requests(2) as sent:
        sent.send("ada 1", since=sent.clock.now - 60)
        assert sent.begun == ["ada 1"]
        sent.send("bob 1", "eve 1", since=sent.clock.now - 60)
        assert sent.begun == ["ada 1", "bob 1"]
        sent.pass_time(LOOK_SECONDS)
        assert sent.refused == ["eve 1"]


def test_reply_that_has_begun_is_never_refused() -> None:
    with requests(1) as sent:
        sent.send("ada 1")
        sent.send("bob's next piece", since=inf)
        sent.pass_time(3600)
        assert sent.refused == []
        sent.end("ada 1")
        assert sent.begun[-1] == "bob's next piece"


def test_refused_request_leaves_the_queue_to_the_others() -> None:
    with requests(1) as sent:
        sent.send("ada 1", "bob 1")
        sent.pass_time(LIMIT / 2)
        sent.send("eve 1")
        sent.pass_time(LIMIT / 2 + LOOK_SECONDS)
        sent.end("ada 1")
        assert (sent.begun, sent.refused) == (["ada 1", "eve 1"], ["bob 1"])


@pytest.mark.parametrize(("slots", "alone"), [(1, 1), (2, 1), (3, 2), (8, 7)])
def test_user_alone_has_all_slots_but_the_last(slots: int, alone: int) -> None:
    with requests(slots) as sent:
        sent.send(*(f"ada {number}" for number in range(slots + 1)))
        assert len(sent.begun) == alone
        sent.send("bob 1")
        assert ("bob 1" in sent.begun) == (slots > 1)


def test_user_with_half_of_the_slots_is_passed_over_while_others_wait() -> None:
    with requests(4) as sent:
        sent.send("ada 1", "ada 2", "ada 3", "bob 1")
        sent.send("ada 4", "ada 5", "bob 2", "eve 1")
        assert sent.begun == ["ada 1", "ada 2", "ada 3", "bob 1"]
        sent.end("ada 1")  # ada has half now
        assert sent.begun[4:] == ["bob 2"]
        sent.end("ada 2")  # and less
        assert sent.begun[5:] == ["ada 4"]
        sent.end("bob 1")
        assert sent.begun[6:] == ["eve 1"]
        sent.end("bob 2", "eve 1")  # nobody else waits any more
        assert sent.begun[7:] == ["ada 5"]


def test_user_with_half_of_the_slots_goes_on_where_all_who_wait_have_as_many() -> None:
    with requests(4) as sent:
        sent.send("ada 1", "ada 2", "ada 3", "ada 4", "ada 5")
        sent.end("ada 1")
        assert sent.begun == ["ada 1", "ada 2", "ada 3", "ada 4"]
        sent.send("bob 1", "bob 2")
        assert sent.begun[4:] == ["bob 1"]
        sent.end("ada 2")
        assert sent.begun[5:] == ["bob 2"]
        sent.end("bob 1")
        assert sent.begun[6:] == []  # the last is for somebody else
        sent.send("eve 1")
        assert sent.begun[6:] == ["eve 1"]


def test_user_with_more_than_half_of_the_slots_is_passed_over_while_others_wait() -> None:
    with requests(8) as sent:
        sent.send(*(f"ada {number}" for number in range(1, 9)))
        sent.send("bob 1", "eve 1")
        assert sent.begun[7:] == ["bob 1"]
        sent.end("ada 1")
        assert sent.begun[8:] == ["eve 1"]


def test_requests_without_a_user_share_as_one() -> None:
    with requests(4) as sent:
        sent.send("1", "2", "3", "4", user=ANONYMOUS)
        assert sent.begun == ["1", "2", "3"]
        sent.send("ada 1", "ada 2")
        sent.end("1")
        assert sent.begun[3:] == ["ada 1", "ada 2"]


def test_sender_that_leaves_while_it_waits_is_passed_over() -> None:
    with requests(1) as sent:
        sent.send("ada 1", "bob 1", "eve 1")
        sent.leave("bob 1")
        sent.end("ada 1")
        assert sent.begun == ["ada 1", "eve 1"]


@pytest.mark.parametrize("first", ["the slot", "the leaving", "the end of the other"])
def test_sender_that_leaves_as_the_slot_comes_loses_none(first: str) -> None:
    with requests(1) as sent:
        sent.send("ada 1", "bob 1", "eve 1")

        async def at_once() -> None:
            if first == "the leaving":
                sent.leave("bob 1")
            sent.finish("ada 1")
            if first == "the end of the other":
                sent.leave("bob 1")
            await asyncio.sleep(0)  # ada's request ends, and hands on
            if first == "the slot":
                sent.leave("bob 1")

        sent.run(at_once())
        sent.go_on()
        assert sent.begun == ["ada 1", "eve 1"]
        sent.end("eve 1")
        sent.send("ada 2")
        assert sent.begun[2:] == ["ada 2"]


def test_sender_that_leaves_as_it_is_refused_loses_no_slot() -> None:
    with requests(1) as sent:
        sent.send("ada 1", "bob 1")
        sent.loop.call_later(LIMIT, sent.leave, "bob 1")
        sent.pass_time(LIMIT)
        sent.end("ada 1")
        sent.send("eve 1", "eve 2")
        assert sent.begun == ["ada 1", "eve 1"]


def test_slot_comes_as_the_wait_ends_is_lost_by_nobody() -> None:
    with requests(1) as sent:
        sent.send("ada 1", "bob 1")
        sent.loop.call_later(LIMIT, sent.finish, "ada 1")
        sent.pass_time(LIMIT)
        assert sent.refused + sent.begun[1:] == ["bob 1"]
        sent.end("bob 1")
        sent.send("eve 1")
        assert sent.begun[-1] == "eve 1"


def test_standstill_refuses_nobody_who_is_read_after_it() -> None:
    with requests(2) as sent:
        sent.send("ada 1", "bob 1")
        sent.stand_still(3)
        sent.send(*(f"ada {number}" for number in range(2, 32)), *(f"bob {number}" for number in range(2, 32)))
        while len(sent.begun) < 62:
            sent.end(*[name for name in sent.begun if not sent._ends[name].is_set()])
            sent.pass_time(0.005)
        assert sent.refused == []


def test_standstill_of_the_database_is_over_when_it_answers_again() -> None:
    with requests(2) as sent:
        sent.send("ada 1", "bob 1")
        for number in range(2, 8):  # it stands still for three seconds
            sent.send(f"ada {number}")
            sent.pass_time(0.5)
        sent.send("ada 8", "bob 8")
        sent.end("ada 1", "bob 1")
        sent.send("ada 9", "bob 9")
        sent.end("ada 8", "bob 8")
        assert sent.refused == [f"ada {number}" for number in range(2, 8)]
        assert sent.begun == ["ada 1", "bob 1", "ada 8", "bob 8", "ada 9", "bob 9"]


def test_nothing_is_kept_of_users_who_are_gone() -> None:
    with requests(2) as sent:
        sent.send(*(f"user{number} 1" for number in range(20)))
        sent.pass_time(2 * LIMIT)
        sent.end("user0 1", "user1 1")
        assert not sent.admission._held
        assert not sent.admission._waiting


def test_pause_releases_the_slot_and_takes_one_again_after_the_event_or_the_time() -> None:
    with requests(1) as sent:
        woken, over = asyncio.Event(), asyncio.Event()

        async def pausing(name: str, event: asyncio.Event) -> None:
            await sent.admission.acquire(name, sent.clock.now)
            await sent.admission.pause(name, event, 5)
            sent.begun.append(name)
            sent.admission.release(name)

        tasks = [sent.loop.create_task(pausing(name, event)) for name, event in ((ADA, woken), (BOB, over))]
        sent.go_on()
        sent.send("eve 1")
        assert sent.begun == ["eve 1"]
        woken.set()
        sent.end("eve 1")
        sent.pass_time(4.9)
        assert sent.begun == ["eve 1", ADA]
        sent.pass_time(0.2)
        assert sent.begun == ["eve 1", ADA, BOB]
        assert all(task.done() for task in tasks)


@pytest.mark.parametrize("when", ["while it pauses", "as it is woken", "while it waits for a slot again"])
def test_pause_cancelled_leaves_as_many_slots_as_there_were(when: str) -> None:
    with requests(1) as sent:
        woken = asyncio.Event()

        async def pausing() -> None:
            await sent.admission.acquire(ADA, sent.clock.now)
            try:
                await sent.admission.pause(ADA, woken, 5)
            finally:
                sent.admission.release(ADA)

        task = sent.loop.create_task(pausing())
        sent.go_on()
        sent.send("bob 1")
        if when != "while it pauses":
            woken.set()
        if when == "while it waits for a slot again":
            sent.go_on()
        task.cancel()
        sent.go_on()
        sent.send("eve 1", since=inf)
        assert (task.cancelled(), sent.begun) == (True, ["bob 1"])
        sent.end("bob 1", "eve 1")
        assert sent.admission.try_take(ADA)
        assert not sent.admission.try_take(BOB)


def test_stop_ends_every_pause_and_those_to_come() -> None:
    with requests(2) as sent:
        done: list[str] = []

        async def pausing(name: str) -> None:
            await sent.admission.acquire(name, sent.clock.now)
            await sent.admission.pause(name, asyncio.Event(), 5)
            done.append(name)
            sent.admission.release(name)

        first = sent.loop.create_task(pausing(ADA))
        sent.go_on()
        assert done == []
        sent.admission.stop()
        sent.go_on()
        second = sent.loop.create_task(pausing(BOB))
        sent.go_on()
        assert done == [ADA, BOB]
        assert (first.done(), second.done()) == (True, True)
