"""Plain functions on the event loop: one may wait for something as if it blocked, and the loop goes on meanwhile.

Each call runs in a greenlet, on the loop's thread. What it waits for is handed to the coroutine that runs it, awaited
there, and its result, or its exception, handed back. No thread is changed and no lock taken: handing a request to a thread and
back cost more processor time than all that its handler did.
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
"""What a call gives when its function has ended, in place of something to wait for."""


class Call(greenlet):
    """Runs one function at a time. Only in such a greenlet can be waited.

    It is used again: Python maps memory for the first frame of each greenlet, and gives it back with the last.
    """

    __sqlalchemy_greenlet_provider__ = True
    """For SQLAlchemy's pool: whose functions may wait in it."""

    task: tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]
    _result: Any = None
    _error: BaseException | None = None

    def run(self) -> None:
        """Runs the task, and the next one whenever it is switched to."""
        while True:
            self._run()
            self.parent.switch(_DONE)  # type: ignore[union-attr]  # the greenlet that made it, which is there

    def _run(self) -> None:
        function, arguments, more = self.task
        del self.task
        try:
            self._result = function(*arguments, **more)
        except GreenletExit:  # nobody waits for it any more
            raise
        except BaseException as error:
            self._error = error

    def outcome(self) -> Any:
        """What the function has returned. Raises what it has raised."""
        result, error = self._result, self._error
        self._result = self._error = None
        if error is None:
            return result
        try:
            raise error
        finally:
            del error  # which refers to this frame


class _Resting(threading.local):
    """The calls of a thread that run nothing: a greenlet stays in its thread."""

    def __init__(self) -> None:
        self.calls: list[Call] = []


_resting = _Resting()


async def spawn(function: Callable[Arguments, Result], *arguments: Arguments.args, **more: Arguments.kwargs) -> Result:
    """What the function returns or raises. Where this is cancelled, the function gets the CancelledError at the place where it waits."""
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
    """Whether this is called, however deep, by a function that `spawn` runs."""
    return isinstance(getcurrent(), Call)


def wait(awaitable: Awaitable[Result]) -> Result:
    """What the awaitable gives or raises. For functions that `spawn` runs."""
    current = getcurrent()
    if current.parent is None:
        raise RuntimeError("wait() is for functions that spawn() runs")
    return current.parent.switch(awaitable)  # type: ignore[no-any-return]  # greenlet's switch knows no types


def in_thread(threads: Executor, function: Callable[..., Result], *arguments: Any) -> Result:
    """What a function returns that computes for long, or blocks. It runs in one of the threads, unless there is no loop to keep waiting."""
    if not can_wait():
        return function(*arguments)
    return wait(asyncio.get_running_loop().run_in_executor(threads, function, *arguments))
