"""Requests at given rates, whatever becomes of earlier ones: `python -m tests.faults.flood PLAN`. Prints what came back, as JSON.

The plan: `port`, `token`, `tasks` (ids of its tasks), and either `connections` and `seconds` (each sends when it has its reply), or
`stages`, each a number of seconds and of requests a second. Latencies count from when a request was due.
"""

import asyncio
import json
import os
import sys
import time
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from statistics import quantiles
from typing import Any

import uvloop

READY = 200
"""Connections that are open before the first request: to open one costs more than all else."""

MOST_CONNECTIONS = 1500
TICK = 0.002
GRACE = 12.0
"""Seconds that the last replies may take."""

Done = Callable[["Caller", int | str], None]


class Caller(asyncio.Protocol):
    """One connection."""

    def __init__(self, done: Done) -> None:
        self._done = done
        self._read = b""
        self._needed = -1
        self.due = 0.0
        self.waits = False
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def send(self, text: bytes, due: float) -> None:
        """Sends one request."""
        self.due, self.waits, self._read, self._needed = due, True, b"", -1
        self.transport.write(text)

    def data_received(self, data: bytes) -> None:
        self._read += data
        if self._needed < 0:
            end = self._read.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self._read[:end].lower()
            place = head.find(b"content-length:")
            length = int(head[place + 15 :].split(b"\r\n", 1)[0]) if place >= 0 else 0
            self._needed = end + 4 + length
        if self.waits and len(self._read) >= self._needed:
            self.waits = False
            self._done(self, int(self._read[9:12]))

    def connection_lost(self, exc: Exception | None) -> None:
        if self.waits:
            self.waits = False
            self._done(self, "closed")


class Stage:
    """What came of the requests of one rate."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.accepted: list[float] = []
        self.refused: list[float] = []

    def count(self, outcome: int | str, seconds: float) -> None:
        self.outcomes[str(outcome)] += 1
        if isinstance(outcome, int):
            (self.accepted if outcome < 300 else self.refused).append(seconds)

    def told(self) -> dict[str, Any]:
        return {"outcomes": dict(self.outcomes), "accepted_p95": _p95(self.accepted), "refused_p95": _p95(self.refused)}


def _p95(seconds: list[float]) -> float | None:
    return quantiles(seconds, n=20)[-1] if len(seconds) > 1 else None


class Flood:
    """All connections."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self._port = plan["port"]
        self._texts = texts(plan["token"], plan["tasks"])
        self._free: deque[Caller] = deque()
        self._open = 0
        self._sent = 0
        self._stage = Stage()
        self._stages: dict[Caller, Stage] = {}

    def _text(self) -> bytes:
        self._sent += 1
        return self._texts[self._sent % len(self._texts)]

    def _done(self, caller: Caller, outcome: int | str) -> None:
        self._stages.pop(caller).count(outcome, time.perf_counter() - caller.due)
        if caller.transport.is_closing():
            self._open -= 1
        else:
            self._free.append(caller)

    def _ready(self) -> Caller | None:
        """A connection that is open and not in use, the one that has been so for longest: else few of them have all the load."""
        while self._free:
            caller = self._free.popleft()
            if not caller.transport.is_closing():
                return caller
            self._open -= 1
        return None

    async def _connect(self) -> Caller:
        self._open += 1
        try:
            loop = asyncio.get_running_loop()
            return (await loop.create_connection(lambda: Caller(self._done), "127.0.0.1", self._port))[1]
        except OSError:
            self._open -= 1
            raise

    async def _on_another(self, stage: Stage, due: float) -> None:
        if self._open >= MOST_CONNECTIONS:
            stage.count("unsent", 0.0)
            return
        try:
            self._send(await self._connect(), stage, due)
        except OSError:
            stage.count("closed", 0.0)

    def _send(self, caller: Caller, stage: Stage, due: float) -> None:
        self._stages[caller] = stage
        caller.send(self._text(), due)

    async def open_loop(self, stages: list[tuple[float, float]]) -> list[dict[str, Any]]:
        """Each stage: seconds, and requests a second."""
        told, tasks = [], set()
        self._free += await asyncio.gather(*(self._connect() for _ in range(READY)))
        for seconds, rate in stages:
            stage, began, sent = Stage(), time.perf_counter(), 0
            told.append(stage)
            while (now := time.perf_counter() - began) < seconds:
                while sent < now * rate:
                    due, caller = began + sent / rate, self._ready()
                    if caller:
                        self._send(caller, stage, due)
                    else:
                        task = asyncio.ensure_future(self._on_another(stage, due))
                        tasks.add(task)
                        task.add_done_callback(tasks.discard)
                    sent += 1
                await asyncio.sleep(TICK)
        deadline = time.perf_counter() + GRACE
        while self._stages and time.perf_counter() < deadline:
            await asyncio.sleep(0.05)
        for stage in self._stages.values():
            stage.count("late", GRACE)
        return [stage.told() for stage in told]

    async def closed_loop(self, connections: int, seconds: float) -> list[dict[str, Any]]:
        """Each connection sends when it has its reply."""
        until = time.perf_counter() + seconds
        stage = Stage()

        def again(caller: Caller, outcome: int | str) -> None:
            now = time.perf_counter()
            stage.count(outcome, now - caller.due)
            if now < until and not caller.transport.is_closing():
                caller.send(self._text(), now)

        loop = asyncio.get_running_loop()
        for _ in range(connections):
            _, caller = await loop.create_connection(lambda: Caller(again), "127.0.0.1", self._port)
            caller.send(self._text(), time.perf_counter())
        await asyncio.sleep(seconds + 1)
        return [stage.told()]


def texts(token: str, tasks: list[str]) -> list[bytes]:
    """Ten requests: seven reads, two lists, a change."""
    head = f"Host: localhost\r\nAuthorization: Bearer {token}\r\n"
    made = []
    for number in range(10):
        task = f"/api/v1/me/tasks/{tasks[number % len(tasks)]}"
        if number < 7:
            made.append(f"GET {task} HTTP/1.1\r\n{head}\r\n")
        elif number < 9:
            made.append(f"GET /api/v1/me/tasks?limit=20 HTTP/1.1\r\n{head}\r\n")
        else:
            body = '{"title": "Flooded"}'
            fields = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
            made.append(f"PATCH {task} HTTP/1.1\r\n{head}{fields}\r\n{body}")
    return [text.encode() for text in made]


async def main() -> None:
    """Does what the plan says, before anything else on this machine where that may be: clients have machines of their own."""
    with suppress(PermissionError):
        os.nice(-10)
    plan = json.loads(sys.argv[1])
    flood = Flood(plan)
    if "stages" in plan:
        told = await flood.open_loop(plan["stages"])
    else:
        told = await flood.closed_loop(plan["connections"], plan["seconds"])
    print(json.dumps(told))


if __name__ == "__main__":
    uvloop.run(main())
