"""Threads that run calls for an event loop, with the least that a hand-over needs: one queue there, one wake-up back."""

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

Argument = TypeVar("Argument")
Result = TypeVar("Result")


class Threads(Generic[Argument, Result]):
    """Runs one function in `count` threads.

    Half the cost of `loop.run_in_executor`, which makes two futures for each call and chains them with callbacks.
    """

    def __init__(self, function: Callable[[Argument], Result], count: int) -> None:
        self._function = function
        self._queue: SimpleQueue[tuple[asyncio.AbstractEventLoop, asyncio.Future[Result], Argument]] = SimpleQueue()
        for number in range(count):
            threading.Thread(target=self._work, name=f"request-{number}", daemon=True).start()

    async def run(self, argument: Argument) -> Result:
        """What the function returns or raises for the argument."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()
        self._queue.put((loop, future, argument))
        return await future

    def _work(self) -> None:
        while True:
            loop, future, argument = self._queue.get()
            if future.cancelled():
                continue  # whoever asked has left while the call waited for its turn
            result: Any = None
            error: BaseException | None = None
            try:
                result = self._function(argument)
            except BaseException as raised:  # it is raised again where the call was made
                error = raised
            try:
                loop.call_soon_threadsafe(_settle, future, result, error)
            except RuntimeError:
                return  # the loop is closed: nobody waits any more


def _settle(future: "asyncio.Future[Any]", result: Any, error: BaseException | None) -> None:
    """Gives the answer to whoever still waits for it."""
    if future.cancelled():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
