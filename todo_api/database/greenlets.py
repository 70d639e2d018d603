"""Plain functions on the event loop: they may wait as if they blocked, while the loop runs on.

Each call runs in a greenlet on the loop's thread. What it waits for is passed to the coroutine that
runs it and awaited there; the result or exception is passed back. Passing a request to a thread and
back cost more processor time than its handler.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from typing import Any, ParamSpec, TypeVar

from greenlet import GreenletExit, getcurrent, greenlet

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


_DONE = object()
"""Result of a switch when the function has ended."""


class Call(greenlet):
    """A greenlet that runs one function at a time. Functions can wait only in one.

    It is reused: Python maps memory for the first frame of a greenlet and unmaps it with the last.
    """

    __sqlalchemy_greenlet_provider__ = True
    """Allow SQLAlchemy's pool to wait."""

    task: tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]
    _result: Any = None
    _error: BaseException | None = None

    def run(self) -> None:
        """Run the task, and the next one after each switch."""
        while True:
            self._run()
            self.parent.switch(_DONE)  # type: ignore[union-attr]  # the greenlet that made it, which is there

    def _run(self) -> None:
        function, arguments, more = self.task
        del self.task
        try:
            self._result = function(*arguments, **more)
        except GreenletExit:  # its caller was cancelled
            raise
        except BaseException as error:
            self._error = error

    def outcome(self) -> Any:
        """Return or raise what the function did."""
        result, error = self._result, self._error
        self._result = self._error = None
        if error is None:
            return result
        try:
            raise error
        finally:
            del error  # it refers to this frame


class _Resting(threading.local):
    """Idle calls of a thread. A greenlet cannot change threads."""

    def __init__(self) -> None:
        self.calls: list[Call] = []


_resting = _Resting()


async def spawn(function: Callable[Arguments, Result], *arguments: Arguments.args, **more: Arguments.kwargs) -> Result:
    """Return or raise what the function does. A cancellation is raised where the function waits."""
    calls = _resting.calls
    call = calls.pop() if calls else Call()
    call.task = function, arguments, more
    call.gr_context = None  # a context of its own
    step: Any = call.switch()
    while step is not _DONE:
        try:
            given = await step
        except BaseException as error:  # it is the function's to deal with
            step = call.throw(error)
        else:
            step = call.switch(given)
    calls.append(call)
    return call.outcome()  # type: ignore[no-any-return]  # what the function returned


def can_wait() -> bool:
    """Return whether a function that `spawn` runs has called this."""
    return isinstance(getcurrent(), Call)


def wait(awaitable: Awaitable[Result]) -> Result:
    """Return or raise what the awaitable does. For functions that `spawn` runs."""
    current = getcurrent()
    if current.parent is None:
        raise RuntimeError("wait() is for functions that spawn() runs")
    return current.parent.switch(awaitable)  # type: ignore[no-any-return]  # greenlet's switch knows no types


def in_thread(threads: Executor, function: Callable[..., Result], *arguments: Any) -> Result:
    """Return the result of a long or blocking function, run in a thread if there is a loop."""
    if not can_wait():
        return function(*arguments)
    return wait(asyncio.get_running_loop().run_in_executor(threads, function, *arguments))
