"""Plain functions that wait on the event loop."""

import asyncio
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar

import pytest
from greenlet import getcurrent

from todo_api.database.greenlets import can_wait, in_thread, spawn, wait


def test_spawn_gives_what_the_function_returns() -> None:
    async def main() -> list[int]:
        return await spawn(sorted, [2, 1], reverse=True)

    assert asyncio.run(main()) == [2, 1]


def test_spawn_raises_what_the_function_raises() -> None:
    with pytest.raises(ZeroDivisionError):
        asyncio.run(spawn(divmod, 1, 0))


def test_wait_lets_others_run_meanwhile() -> None:
    turns: list[str] = []

    def take_turns(name: str) -> None:
        for _ in range(2):
            turns.append(name)
            wait(asyncio.sleep(0))

    async def main() -> None:
        await asyncio.gather(spawn(take_turns, "a"), spawn(take_turns, "b"))

    asyncio.run(main())
    assert turns == ["a", "b", "a", "b"]


def test_wait_gives_the_result_and_raises_the_error_of_what_is_awaited() -> None:
    async def fails() -> None:
        raise LookupError("gone")

    def function() -> str:
        number = wait(asyncio.sleep(0, 7))
        try:
            wait(fails())
        except LookupError as error:
            return f"{number} {error}"
        return "nothing was raised"

    assert asyncio.run(spawn(function)) == "7 gone"


def test_cancelled_spawn_cancels_where_the_function_waits() -> None:
    ended: list[str] = []

    def function() -> None:
        try:
            wait(asyncio.sleep(60))
        finally:
            wait(asyncio.sleep(0))  # what a function does on its way out may wait as well
            ended.append("cleaned up")

    async def main() -> None:
        task = asyncio.create_task(spawn(function))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert ended == ["cleaned up"]


def test_context_of_each_call_is_its_own() -> None:
    name: ContextVar[str] = ContextVar("name")

    def function(own: str) -> str:
        assert name.get(None) is None
        name.set(own)
        wait(asyncio.sleep(0))
        return name.get()

    async def main() -> list[str]:
        return await asyncio.gather(spawn(function, "a"), spawn(function, "b"))

    assert asyncio.run(main()) == ["a", "b"]


def test_greenlet_is_used_again_whatever_became_of_its_function() -> None:
    name: ContextVar[str] = ContextVar("name")

    def function(fails: bool) -> object:
        assert name.get(None) is None
        name.set("mine")
        wait(asyncio.sleep(0))
        if fails:
            raise LookupError
        return getcurrent()

    async def main() -> list[object]:
        found = [await spawn(function, False)]
        with pytest.raises(LookupError):
            await spawn(function, True)
        return [*found, await spawn(function, False)]

    first, second = asyncio.run(main())
    assert first is second


def test_greenlet_that_rests_keeps_nothing_of_its_function() -> None:
    class Kept:
        pass

    def function(kept: Kept) -> Kept:
        wait(asyncio.sleep(0))
        return kept

    async def main() -> list[object]:
        kept = Kept()
        seen = weakref.ref(kept)
        await spawn(function, kept)
        del kept
        return [seen()]

    assert asyncio.run(main()) == [None]


def test_wait_outside_of_spawn_is_refused() -> None:
    async def nothing() -> None:
        pass

    awaitable = nothing()
    with pytest.raises(RuntimeError, match="spawn"):
        wait(awaitable)
    awaitable.close()
    assert not can_wait()


@pytest.mark.parametrize(("run", "is_main"), [(asyncio.run, False), (None, True)], ids=["on a loop", "without one"])
def test_in_thread_leaves_the_loop_only_where_there_is_one(run: Callable[..., object] | None, is_main: bool) -> None:
    def function() -> bool:
        return in_thread(threads, threading.current_thread) is threading.main_thread()

    with ThreadPoolExecutor(1) as threads:
        assert (run(spawn(function)) if run else function()) is is_main
