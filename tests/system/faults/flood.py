"""Requests to the service, as many as a plan says: `python -m tests.system.faults.flood PLAN`. Prints what came back, as JSON.

The plan: `port`, `texts` (the requests, sent in turn), `addresses` (of the loopback that it sends from, one by default), and either
`stages`, each a number of seconds and of requests a second, sent whatever becomes of earlier ones, or `connections` and
`seconds`: each connection sends again at once when it has its reply.
Latencies count from when a request was sent, or began to connect. How late that was is told apart: it is this program's delay.
What it takes of the processors is taken from the service, so it has no event loop, and sends and receives once a `TICK`.
"""

import json
import os
import select
import socket
import sys
import time
from collections import Counter, deque
from contextlib import suppress
from itertools import cycle
from statistics import quantiles
from typing import Any

MOST_CONNECTIONS = 4000
WAIT = 0.2
"""Seconds for which a request may be under way in an overload. As many connections as that takes are open before the first: to open
one costs more than all else."""

TICK = 0.001
PRIORITY = -3
"""Above that of the service. Far above, the system gives it one of two processors, and all workers the other."""

LENGTH = b"\r\ncontent-length: "
"""As the service writes it."""

READ_BYTES = 16384
GRACE = 12.0
"""Seconds that the last replies may take."""

LISTED = 1000
"""Of a stage with so many requests at most, each is told."""


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


class Caller:
    """One connection."""

    stage: Stage | None = None
    """That of the request under way."""

    due = 0.0
    is_open = True
    _head = b""
    _left = -1
    _status = 0

    def __init__(self, address: str, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), GRACE, (address, 0))
        self.socket.setblocking(False)

    def send(self, text: bytes, stage: Stage, due: float) -> None:
        """Send one request. Where the connection has ended, `receive` tells of it."""
        self.stage, self.due, self._head, self._left = stage, due, b"", -1
        with suppress(OSError):
            self.socket.send(text)

    def receive(self) -> int | str | None:
        """Return the status when the reply is whole, `closed` when the connection has ended."""
        try:
            data = self.socket.recv(READ_BYTES)
        except OSError:
            data = b""
        if not data:
            self.is_open = False
            self.socket.close()
            return "closed"
        if self._left < 0:
            self._head = head = self._head + data if self._head else data
            end = head.find(b"\r\n\r\n")
            if end < 0:
                return None
            place = head.find(LENGTH, 0, end)
            length = int(head[place + len(LENGTH) : head.find(b"\r", place + 2)]) if place >= 0 else 0
            self._status = int(head[9:12])
            self._left = length - (len(head) - end - 4)
        else:
            self._left -= len(data)
        return None if self._left > 0 else self._status


class Flood:
    """The sender."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self._port: int = plan["port"]
        self._addresses = cycle([f"127.0.0.{number + 1}" for number in range(plan.get("addresses", 1))])
        self._texts = cycle([text.encode() for text in plan["texts"]])
        self._poll = select.epoll()
        self._callers: dict[int, Caller] = {}
        self._free: deque[Caller] = deque()

    def _connect(self) -> Caller:
        """Return a new connection, from the next of the addresses."""
        caller = Caller(next(self._addresses), self._port)
        number = caller.socket.fileno()
        self._callers[number] = caller
        self._poll.register(number, select.EPOLLIN)
        return caller

    def _receive(self, seconds: float) -> list[Caller]:
        """Count the replies that are there, or come first. Return their connections."""
        done = []
        for number, _ in self._poll.poll(seconds, MOST_CONNECTIONS):
            caller = self._callers[number]
            outcome = caller.receive()
            if outcome is None:
                continue
            if not caller.is_open:
                del self._callers[number]
            if caller.stage:
                caller.stage.count(outcome, caller.due, time.perf_counter() - caller.due)
                caller.stage = None
                done.append(caller)
        return done

    def _under_way(self) -> list[Caller]:
        return [caller for caller in self._callers.values() if caller.stage]

    def _ready(self) -> Caller | None:
        """A connection that is open and not in use, the one that has been so for longest: else few of them have all the load."""
        while self._free:
            caller = self._free.popleft()
            if caller.is_open:
                return caller
        return self._connect() if len(self._callers) < MOST_CONNECTIONS else None

    def _send(self, stage: Stage) -> None:
        sent_at = time.perf_counter()
        try:
            caller = self._ready()
        except OSError:
            stage.count("closed", sent_at, 0.0)
            return
        if caller:
            caller.send(next(self._texts), stage, sent_at)
        else:
            stage.count("unsent", sent_at, 0.0)

    def open_loop(self, stages: list[tuple[float, float]]) -> list[dict[str, Any]]:
        """Each stage: seconds, and requests a second."""
        told = []
        ready = min(MOST_CONNECTIONS, int(WAIT * max(rate for _, rate in stages)) + 1)
        self._free.extend(self._connect() for _ in range(ready))
        for seconds, rate in stages:
            stage, began, sent = Stage(), time.perf_counter(), 0
            told.append(stage)
            while (now := time.perf_counter() - began) < seconds:
                while sent < now * rate:
                    stage.delays.append(time.perf_counter() - began - sent / rate)
                    self._send(stage)
                    sent += 1
                time.sleep(TICK)
                self._free.extend(self._receive(0))
        deadline = time.perf_counter() + GRACE
        while self._under_way() and time.perf_counter() < deadline:
            self._receive(0.05)
        for caller in self._under_way():
            caller.stage.count("late", caller.due, GRACE)
        return [stage.told() for stage in told]

    def closed_loop(self, connections: int, seconds: float) -> list[dict[str, Any]]:
        """Each connection sends when it has its reply. One that ends is opened anew."""
        stage = Stage()
        until = time.perf_counter() + seconds
        self._free.extend(self._connect() for _ in range(connections))
        for _ in range(connections):
            self._send(stage)
        while (left := until - time.perf_counter()) > 0:
            for caller in self._receive(left):
                self._free.append(caller)
                self._send(stage)
        return [stage.told()]


def main() -> None:
    """Does what the plan says, before anything else on this machine where that may be: clients have machines of their own."""
    with suppress(PermissionError):
        os.nice(PRIORITY)
    plan = json.loads(sys.stdin.read())
    flood = Flood(plan)
    told = (
        flood.open_loop(plan["stages"]) if "stages" in plan else flood.closed_loop(plan["connections"], plan["seconds"])
    )
    print(json.dumps(told))


if __name__ == "__main__":
    main()
