"""Plain functions on the event loop: one may wait for something as if it blocked, and the loop goes on meanwhile.

Each call runs in a greenlet of its own, on the loop's thread. What it waits for is handed to the coroutine that runs it, awaited
there, and its result, or its exception, handed back. No thread is changed and no lock taken: handing a request to a thread and
back cost more processor time than all that its handler did.
"""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from typing import Any, ParamSpec, TypeVar

from greenlet import getcurrent, greenlet

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class Call(greenlet):
    """One call of a function. Only in such a greenlet can be waited."""


async def spawn(function: Callable[Arguments, Result], *arguments: Arguments.args, **more: Arguments.kwargs) -> Result:
    """What the function returns or raises. Where this is cancelled, the function gets the CancelledError at the place where it waits."""
    call = Call(function)
    step: Any = call.switch(*arguments, **more)
    while not call.dead:
        try:
            given = await step
        except BaseException as error:  # it is the function's to deal with
            step = call.throw(error)
        else:
            step = call.switch(given)
    return step  # type: ignore[no-any-return]  # what the function returned, once it is dead


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
