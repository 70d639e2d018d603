"""The threads that run the handlers."""

import asyncio
import threading

from todo_api.http.threads import Threads


def test_run_given_up_while_waiting_for_its_turn_is_not_done() -> None:
    done: list[str] = []
    gate = threading.Event()

    def work(name: str) -> None:
        assert gate.wait(5)
        done.append(name)

    async def leave() -> None:
        threads = Threads(work, 1)
        first, leaver = (asyncio.create_task(threads.run(name)) for name in ("first", "leaver"))
        await asyncio.sleep(0)
        leaver.cancel()
        await asyncio.sleep(0)
        gate.set()
        await first
        await threads.run("last")

    asyncio.run(leave())
    assert done == ["first", "last"]
