"""Requests to the service, as many as a plan says: `python -m tests.system.faults.flood PLAN`. Prints what came back, as JSON.

The plan: `port`, `texts` (the requests, sent in turn), `addresses` (of the loopback that it sends from, one by default), and either
`stages`, each a number of seconds and of requests a second, sent whatever becomes of earlier ones, or `connections` and
`seconds`: each connection sends again at once when it has its reply.
Latencies count from when a request was sent, or began to connect. How late that was is told apart: it is this program's delay.
"""

import asyncio
import json
import os
import sys
import time
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from itertools import cycle
from statistics import quantiles
from typing import Any

import uvloop

MOST_CONNECTIONS = 2000
WAIT = 0.3
"""Seconds for which a request may be under way in an overload. As many connections as that takes are open before the first: to open
one costs more than all else."""

TICK = 0.002
PRIORITY = -3
"""Above that of the service. Far above, the system gives it one of two processors, and all workers the other."""

LENGTH = b"\r\ncontent-length: "
"""As the service writes it."""

GRACE = 12.0
"""Seconds that the last replies may take."""

LISTED = 1000
"""Of a stage with so many requests at most, each is told."""

Done = Callable[["Caller", int | str], None]


class Caller(asyncio.Protocol):
    """One connection."""

    def __init__(self, done: Done) -> None:
        self._done = done
        self._head = b""
        self._left = -1
        self._status = 0
        self.due = 0.0
        self.waits = False
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def send(self, text: bytes, due: float) -> None:
        """Sends one request."""
        self.due, self.waits, self._head, self._left = due, True, b"", -1
        self.transport.write(text)

    def data_received(self, data: bytes) -> None:
        if self._left < 0:
            self._head = head = self._head + data if self._head else data
            end = head.find(b"\r\n\r\n")
            if end < 0:
                return
            place = head.find(LENGTH, 0, end)
            length = int(head[place + len(LENGTH) : head.find(b"\r", place + 2)]) if place >= 0 else 0
            self._status = int(head[9:12])
            self._left = length - (len(head) - end - 4)
        else:
            self._left -= len(data)
        if self.waits and self._left <= 0:
            self.waits = False
            self._done(self, self._status)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.waits:
            self.waits = False
            self._done(self, "closed")


class Stage:
    """Outcomes of the requests at one rate."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self.outcomes: Counter[int | str] = Counter()
        self.accepted: list[float] = []
        self.refused: list[float] = []
        self.each: list[tuple[float, float, str]] = []
        self.delays: list[float] = []

    def count(self, outcome: int | str, due: float, seconds: float) -> None:
        self.outcomes[outcome] += 1
        if len(self.each) <= LISTED:
            self.each.append((due - self._began, seconds, str(outcome)))
        if isinstance(outcome, int):
            (self.accepted if outcome < 300 else self.refused).append(seconds)

    def told(self) -> dict[str, Any]:
        """Return the results as JSON. `each` has when a request was due, its seconds and its outcome."""
        return {
            "outcomes": {str(outcome): number for outcome, number in self.outcomes.items()},
            "accepted": _percentiles(self.accepted),
            "refused": _percentiles(self.refused),
            "delays": _percentiles(self.delays),
            "each": sorted(self.each) if len(self.each) <= LISTED else [],
        }


def _percentiles(seconds: list[float]) -> list[float] | None:
    """Those at 5, 50 and 95 of 100."""
    if len(seconds) < 2:
        return None
    parts = quantiles(seconds, n=20)
    return [parts[0], parts[9], parts[18]]


class Flood:
    """The sender."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self._port: int = plan["port"]
        self._addresses = cycle([f"127.0.0.{number + 1}" for number in range(plan.get("addresses", 1))])
        self._texts = cycle([text.encode() for text in plan["texts"]])
        self._free: deque[Caller] = deque()
        self._stages: dict[Caller, Stage] = {}
        self._open = 0

    def _done(self, caller: Caller, outcome: int | str) -> None:
        self._stages.pop(caller).count(outcome, caller.due, time.perf_counter() - caller.due)
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

    async def _begin(self, done: Done) -> Caller:
        """A new connection, from the next of the addresses."""
        loop, address = asyncio.get_running_loop(), (next(self._addresses), 0)
        return (await loop.create_connection(lambda: Caller(done), "127.0.0.1", self._port, local_addr=address))[1]

    async def _connect(self) -> Caller:
        self._open += 1
        try:
            return await self._begin(self._done)
        except OSError:
            self._open -= 1
            raise

    async def _on_another(self, stage: Stage, due: float) -> None:
        if self._open >= MOST_CONNECTIONS:
            stage.count("unsent", due, 0.0)
            return
        try:
            self._send(await self._connect(), stage, due)
        except OSError:
            stage.count("closed", due, 0.0)

    def _send(self, caller: Caller, stage: Stage, due: float) -> None:
        self._stages[caller] = stage
        caller.send(next(self._texts), due)

    async def open_loop(self, stages: list[tuple[float, float]]) -> list[dict[str, Any]]:
        """Each stage: seconds, and requests a second."""
        told, tasks = [], set()
        ready = min(MOST_CONNECTIONS, int(WAIT * max(rate for _, rate in stages)) + 1)
        for _ in range(ready):
            self._free.append(await self._connect())
        for seconds, rate in stages:
            stage, began, sent = Stage(), time.perf_counter(), 0
            told.append(stage)
            while (now := time.perf_counter() - began) < seconds:
                while sent < now * rate:
                    sent_at, caller = time.perf_counter(), self._ready()
                    stage.delays.append(sent_at - began - sent / rate)
                    if caller:
                        self._send(caller, stage, sent_at)
                    else:
                        task = asyncio.ensure_future(self._on_another(stage, sent_at))
                        tasks.add(task)
                        task.add_done_callback(tasks.discard)
                    sent += 1
                await asyncio.sleep(TICK)
        deadline = time.perf_counter() + GRACE
        while self._stages and time.perf_counter() < deadline:
            await asyncio.sleep(0.05)
        for caller, stage in self._stages.items():
            stage.count("late", caller.due, GRACE)
        return [stage.told() for stage in told]

    async def closed_loop(self, connections: int, seconds: float) -> list[dict[str, Any]]:
        """Each connection sends when it has its reply. One that ends is opened anew."""
        loop = asyncio.get_running_loop()
        stage = Stage()
        until = time.perf_counter() + seconds
        tasks: set[asyncio.Task[None]] = set()

        def again(caller: Caller, outcome: int | str) -> None:
            now = time.perf_counter()
            if now < until:
                stage.count(outcome, caller.due, now - caller.due)
                if caller.transport.is_closing():
                    task = loop.create_task(begin())
                    tasks.add(task)
                    task.add_done_callback(tasks.discard)
                else:
                    caller.send(next(self._texts), now)

        async def begin() -> None:
            with suppress(OSError):
                caller = await self._begin(again)
                caller.send(next(self._texts), time.perf_counter())

        await asyncio.gather(*(begin() for _ in range(connections)))
        await asyncio.sleep(max(0.0, until - time.perf_counter()) + 0.5)
        return [stage.told()]


async def main() -> None:
    """Does what the plan says, before anything else on this machine where that may be: clients have machines of their own."""
    with suppress(PermissionError):
        os.nice(PRIORITY)
    plan = json.loads(sys.stdin.read())
    flood = Flood(plan)
    if "stages" in plan:
        told = await flood.open_loop(plan["stages"])
    else:
        told = await flood.closed_loop(plan["connections"], plan["seconds"])
    print(json.dumps(told))


if __name__ == "__main__":
    uvloop.run(main())
