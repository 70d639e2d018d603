"""The connections of an event loop: how many there are, who gets one, and what becomes of those that are lost."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import psycopg2
import pytest
from sqlalchemy.pool import AsyncAdaptedQueuePool

from todo_api.database import pool as pool_module
from todo_api.database.connection import CONNECT_TIMEOUT, SETTINGS, reason
from todo_api.database.failures import DatabaseTimeout
from todo_api.database.greenlets import spawn, wait
from todo_api.database.pool import SWEEP, Connection, Pool
from todo_api.errors import Unavailable

READ_TIMEOUT = 2
BUSY = 15
"""Seconds that a machine with other work may add."""

POOL_WAIT, SLACK = 60, 30
"""Seconds: who would wait for a connection as long as may be has not got one when a test gives up."""


def pool(url: str, *, size: int = 2, read_timeout: float = READ_TIMEOUT) -> Pool:
    return Pool(url, size=size, read_timeout=read_timeout)


@pytest.fixture(autouse=True)
def long_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "POOL_TIMEOUT", POOL_WAIT)


def ask(connections: Pool, sql: str, values: dict[str, Any] | None = None) -> list[tuple[Any, ...]]:
    connection = connections.take()
    try:
        return connection.run(sql, values)
    except psycopg2.OperationalError:
        connection.invalidate()
        raise
    finally:
        connections.give_back(connection)


def run(connections: Pool, *functions: Callable[[], Any]) -> list[Any]:
    """Run the functions at once on one loop. Return what each returned or raised."""

    async def main() -> list[Any]:
        try:
            return await asyncio.gather(*(spawn(function) for function in functions), return_exceptions=True)
        finally:
            connections.close()

    return asyncio.run(main())


def test_statements_give_the_rows_of_the_last(url: str) -> None:
    connections = pool(url)
    assert run(connections, lambda: ask(connections, "SELECT 1; SELECT %(n)s, 'b'", {"n": 2})) == [[(2, "b")]]


def test_statement_without_rows_gives_none(url: str) -> None:
    connections = pool(url)
    assert run(connections, lambda: ask(connections, "SET lock_timeout = 0")) == [[]]


def test_failed_statement_raises_and_the_connection_stays_good(url: str) -> None:
    connections = pool(url, size=1)

    def function() -> list[tuple[Any, ...]]:
        connection = connections.take()
        with pytest.raises(psycopg2.errors.DivisionByZero):
            connection.run("SELECT 1 / 0")
        assert connection.is_open
        return connection.run("SELECT 2")

    assert run(connections, function) == [[(2,)]]


def test_session_of_the_connection_alone_keeps_the_settings(url: str) -> None:
    connections = pool(url, size=1)

    def function() -> tuple[bool, list[list[tuple[Any, ...]]]]:
        connection = connections.take()
        return connection.has_settings, [connection.run(f"SHOW {name}") for name in SETTINGS]

    assert run(connections, function) == [(True, [[(value,)] for value in SETTINGS.values()])]


@pytest.mark.parametrize("size", [10, 100_000, 2_000_000])
def test_text_of_any_size_goes_there_and_back(url: str, size: int) -> None:
    connections = pool(url, read_timeout=60)
    assert run(connections, lambda: len(ask(connections, "SELECT %(text)s", {"text": "é" * size})[0][0])) == [size]


class Delayed(Pool):
    """One whose process is stopped for a while between sending a statement and looking what became of it."""

    @property
    def sweeps(self) -> int:  # what is read in between
        time.sleep(0.2)
        return 20

    @sweeps.setter
    def sweeps(self, _: int) -> None:
        pass


@pytest.mark.parametrize("size", [10, 20_000, 2_000_000])
def test_answer_that_is_there_before_anybody_waits_for_it_is_taken(url: str, size: int) -> None:
    connections = Delayed(url, size=2, read_timeout=60)
    assert run(connections, lambda: ask(connections, "SELECT length(%(text)s)", {"text": "x" * size})) == [[(size,)]]


@pytest.mark.parametrize("name", ["_do_get", "_do_return_conn"])
def test_method_of_sqlalchemys_pool_that_ours_builds_upon_is_there(name: str) -> None:
    assert callable(getattr(AsyncAdaptedQueuePool, name, None)), f"AsyncAdaptedQueuePool.{name}() is gone"


def test_connections_are_no_more_than_the_size_and_are_used_again(url: str) -> None:
    connections = pool(url)

    def function() -> int:
        return int(ask(connections, "SELECT pg_backend_pid() FROM pg_sleep(0.05)")[0][0])

    assert len(set(run(connections, *[function] * 10))) == 2


def test_no_free_connection_in_time_is_unavailable(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "POOL_TIMEOUT", 0.5)
    connections = pool(url, size=1)
    answers = run(connections, *[lambda: ask(connections, "SELECT 1 FROM pg_sleep(0.9)")] * 2)
    assert answers[0] == [(1,)]
    assert isinstance(answers[1], Unavailable)
    assert str(answers[1]) == "All connections to the database are in use."


def test_waiting_for_a_connection_is_in_turn(url: str) -> None:
    connections = pool(url, size=1)
    order: list[int] = []

    def function(number: int) -> None:
        ask(connections, "SELECT 1 FROM pg_sleep(0.02)")
        order.append(number)

    run(connections, *[partial(function, number) for number in range(6)])
    assert order == [*range(6)]


def test_silence_beyond_the_limit_gives_the_connection_up(url: str) -> None:
    connections = pool(url, size=1)
    began = time.monotonic()
    answers = run(connections, lambda: ask(connections, "SELECT 1 FROM pg_sleep(20)"))
    assert isinstance(answers[0], DatabaseTimeout)
    assert READ_TIMEOUT <= time.monotonic() - began < READ_TIMEOUT + SWEEP + BUSY


def test_connection_that_the_server_ended_while_idle_is_replaced(url: str) -> None:
    connections = pool(url, size=1)

    def function() -> tuple[int, int]:
        first = int(ask(connections, "SELECT pg_backend_pid()")[0][0])
        with psycopg2.connect(url) as other, other.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 2000)", (first,))
        other.close()
        wait(asyncio.sleep(0.05))
        return first, int(ask(connections, "SELECT pg_backend_pid()")[0][0])

    [(first, second)] = run(connections, function)
    assert first != second


def test_connection_that_is_lost_amid_a_statement_raises_and_makes_room(url: str) -> None:
    connections = pool(url, size=1)

    def function() -> list[tuple[Any, ...]]:
        with pytest.raises(psycopg2.OperationalError):
            ask(connections, "SELECT pg_terminate_backend(pg_backend_pid())")
        return ask(connections, "SELECT 3")

    assert run(connections, function) == [[(3,)]]


def test_cancelled_function_gives_its_connection_up(url: str) -> None:
    connections = pool(url, size=1)
    taken: list[Connection] = []

    def function() -> None:
        connection = connections.take()
        taken.append(connection)
        try:
            connection.run("SELECT pg_sleep(20)")
        finally:
            connections.give_back(connection)

    async def main() -> list[tuple[Any, ...]]:
        task = asyncio.create_task(spawn(function))
        while not taken:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not taken[0].is_open
        rows = await spawn(ask, connections, "SELECT 4")
        connections.close()
        return rows

    assert asyncio.run(main()) == [(4,)]


def test_cancelled_wait_for_a_connection_takes_none(url: str) -> None:
    connections = pool(url, size=1)

    async def main() -> list[tuple[Any, ...]]:
        held = await spawn(connections.take)
        waiting = asyncio.create_task(spawn(connections.take))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        connections.give_back(held)
        async with asyncio.timeout(SLACK):
            rows = await spawn(ask, connections, "SELECT 3")
        connections.close()
        return rows

    assert asyncio.run(main()) == [(3,)]


def test_wait_cancelled_as_it_is_given_a_connection_gives_it_to_the_next(url: str) -> None:
    connections = pool(url, size=1)

    async def main() -> list[list[tuple[Any, ...]]]:
        held = await spawn(connections.take)
        waiting = asyncio.create_task(spawn(connections.take))
        next_one = asyncio.create_task(spawn(ask, connections, "SELECT 1"))
        await asyncio.sleep(0)
        connections.give_back(held)  # it is handed to the one who waits, who has not run yet
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        rows = [await next_one, await spawn(ask, connections, "SELECT 2")]
        connections.close()
        return rows

    assert asyncio.run(main()) == [[(1,)], [(2,)]]


def test_wait_cancelled_as_it_is_given_the_place_of_one_gives_it_to_the_next(url: str) -> None:
    connections = pool(url, size=1)

    async def main() -> list[tuple[Any, ...]]:
        held = await spawn(connections.take)
        waiting = asyncio.create_task(spawn(connections.take))
        next_one = asyncio.create_task(spawn(ask, connections, "SELECT 1"))
        await asyncio.sleep(0)
        held.invalidate()
        connections.give_back(held)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        async with asyncio.timeout(SLACK):
            rows = await next_one
        connections.close()
        return rows

    assert asyncio.run(main()) == [(1,)]


def test_opening_that_is_cancelled_leaves_its_place_to_who_waits(url: str) -> None:
    connections = pool(url, size=1)

    async def main() -> list[tuple[Any, ...]]:
        opening = asyncio.create_task(spawn(connections.take))
        await asyncio.sleep(0)
        waiting = asyncio.create_task(spawn(ask, connections, "SELECT 1"))
        await asyncio.sleep(0)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        async with asyncio.timeout(SLACK):
            rows = await waiting
        connections.close()
        return rows

    assert asyncio.run(main()) == [(1,)]


def test_opening_that_fails_refuses_at_once_who_waits_for_its_place() -> None:
    async def refuse(_: Any, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.05)
        writer.close()

    async def main() -> list[Any]:
        async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
            connections = pool(f"postgresql://u@127.0.0.1:{server.sockets[0].getsockname()[1]}/d", size=1)
            takes = [asyncio.create_task(spawn(connections.take)) for _ in range(3)]
            done, late = await asyncio.wait(takes, timeout=SLACK)
            connections.close()
            assert not late
            return [task.exception() for task in takes if task in done]

    assert [type(error) for error in asyncio.run(main())] == [Unavailable] * 3


def test_connection_given_up_twice_is_closed_once_and_its_place_is_free(url: str) -> None:
    connections = pool(url, size=1)

    def function() -> list[tuple[Any, ...]]:
        connection = connections.take()
        connection.invalidate()
        connection.invalidate()
        connections.give_back(connection)
        return ask(connections, "SELECT 1")

    assert run(connections, function) == [[(1,)]]


def test_database_that_is_silent_refuses_at_once_who_waits(url: str) -> None:
    connections = pool(url, size=1, read_timeout=2 * SWEEP)

    async def main() -> Any:
        held = await spawn(connections.take)
        waiting = [asyncio.create_task(spawn(connections.take)) for _ in range(3)]
        await asyncio.sleep(0)
        connections.mark_unresponsive()
        held.invalidate()
        connections.give_back(held)
        done, _ = await asyncio.wait(waiting, timeout=SLACK)
        connections.close()
        return [type(task.exception()) for task in done]

    assert asyncio.run(main()) == [Unavailable] * 3


def test_standstill_of_the_process_is_not_taken_for_silence_of_the_database(url: str) -> None:
    connections = pool(url, size=1, read_timeout=2)

    def function() -> list[tuple[Any, ...]]:
        wait(asyncio.sleep(0.1))  # the sweep has begun
        asyncio.get_running_loop().call_later(0.05, time.sleep, 3)
        return ask(connections, "SELECT 5 FROM pg_sleep(0.2)")

    assert run(connections, lambda: ask(connections, "SELECT 1"), function)[1] == [(5,)]


def test_server_that_is_away_is_asked_by_one_at_a_time_and_the_others_do_not_wait() -> None:
    attempts: list[socket.socket] = []

    def accept() -> None:
        while True:
            try:
                attempts.append(listener.accept()[0])
            except OSError:
                return  # closed

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=accept)
        thread.start()
        connections = pool(f"postgresql://u@127.0.0.1:{listener.getsockname()[1]}/d", size=1)
        began = time.monotonic()
        answers = run(connections, *[connections.take] * 20)
        took = time.monotonic() - began
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()
    assert all(isinstance(answer, Unavailable) for answer in answers)
    assert took < CONNECT_TIMEOUT + BUSY
    assert len(attempts) == 1
    attempts[0].close()


def test_reason_of_an_error_is_its_first_line_or_its_kind() -> None:
    assert reason(psycopg2.OperationalError("connection refused\n\tIs the server running?")) == "connection refused"
    assert reason(DatabaseTimeout()) == "DatabaseTimeout"
