"""Tests that use a `Database` themselves: they run as handlers do, in greenlets of an event loop."""

import asyncio
import atexit
import functools
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

from todo_api.database.greenlets import can_wait, spawn

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

_RUNNER = asyncio.Runner()
atexit.register(_RUNNER.close)


def run_until_complete(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """Return what a coroutine returns. The loop is the same for all, and runs for so long alone.

    Clients have another loop, in a thread, so the coroutine may wait for their replies.
    """
    return _RUNNER.run(coroutine)


def on_loop(test: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Run a test, or a helper of tests, in a greenlet."""

    @functools.wraps(test)
    def run(*arguments: Arguments.args, **more: Arguments.kwargs) -> Result:
        return test(*arguments, **more) if can_wait() else run_until_complete(spawn(test, *arguments, **more))

    return run


def at_once(*functions: Callable[[], Any]) -> list[Any]:
    """Return what the functions return or raise, all at once."""

    async def main() -> list[Any]:
        return await asyncio.gather(*(spawn(function) for function in functions), return_exceptions=True)

    return run_until_complete(main())
