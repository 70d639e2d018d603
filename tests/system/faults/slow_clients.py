"""Many clients that send a byte a second, and one that does not: what it gets meanwhile."""

import asyncio
import math
import time
from contextlib import suppress
from typing import NamedTuple

BYTE_EVERY = 1.0
ANSWER_WITHIN = 10
"""Seconds after which an honest request counts as not answered."""


class Seen(NamedTuple):
    """What the honest client saw: the statuses, and the seconds at 50 and 95 of 100; and how many slow ones there were at most."""

    statuses: dict[int, int]
    p50: float
    p95: float
    slow: int
    refused: int
    """Number of times that a slow client was refused, or its connection ended."""


class _Slow:
    """The slow ones: half send a head, half a body. Who is sent away begins anew, so that they stay as many."""

    def __init__(self, port: int, token: str) -> None:
        self._port = port
        fields = f"Host: localhost\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n"
        begun = f"POST /api/v1/me/tasks HTTP/1.1\r\n{fields}Content-Length: 60000\r\n\r\n"
        self._starts = (b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nX-Slow: ", begun.encode())
        self.connected = self.most = self.refused = 0

    async def one(self, number: int, until: float) -> None:
        while time.monotonic() < until:
            with suppress(OSError):
                await self._connection(self._starts[number % 2], until)
            self.refused += time.monotonic() < until

    async def _connection(self, start: bytes, until: float) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        self.connected += 1
        self.most = max(self.most, self.connected)
        try:
            writer.write(start)
            while time.monotonic() < until:
                with suppress(TimeoutError):
                    async with asyncio.timeout(BYTE_EVERY):
                        if not await reader.read(4096):
                            return
                writer.write(b" ")
        finally:
            self.connected -= 1
            writer.close()


async def _honest(port: int, request: bytes, until: float) -> tuple[dict[int, int], list[float]]:
    """One request after another, each on a connection of its own."""
    statuses: dict[int, int] = {}
    took: list[float] = []
    while time.monotonic() < until:
        began = time.perf_counter()
        async with asyncio.timeout(ANSWER_WITHIN):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request)
            line = await reader.readline()
            writer.close()
        took.append(time.perf_counter() - began)
        status = int(line.split(b" ")[1])
        statuses[status] = statuses.get(status, 0) + 1
        await asyncio.sleep(0.02)
    return statuses, sorted(took)


async def _watch(port: int, token: str, path: str, clients: int, seconds: float) -> Seen:
    until = time.monotonic() + seconds
    slow = _Slow(port, token)
    async with asyncio.TaskGroup() as tasks:
        for number in range(clients):
            tasks.create_task(slow.one(number, until))
        await asyncio.sleep(min(2.0, seconds / 4))  # until they are all there
        request = (
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
        )
        statuses, took = await _honest(port, request.encode(), until)
    p50, p95 = (took[math.ceil(len(took) * share) - 1] for share in (0.5, 0.95))
    return Seen(statuses, p50, p95, slow.most, slow.refused)


def slow_clients(port: int, token: str, path: str = "/api/v1/me/tasks", *, clients: int, seconds: float) -> Seen:
    """Holds so many slow connections to the service on the loopback for so many seconds, and asks it for `path` all the while.

    Raises TimeoutError where an honest request is not answered in `ANSWER_WITHIN`.
    """
    return asyncio.run(_watch(port, token, path, clients, seconds))
