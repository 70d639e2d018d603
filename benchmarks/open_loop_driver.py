"""Sends requests at the times of a plan and measures each reply from the time it was due: `open_loop_driver.py PLAN`.

Each user has a moment of their own in the period and sends then, whatever became of earlier requests (an open loop). A late
reply therefore makes nobody wait but itself, and a late sender counts against the server. Debian has no such tool: wrk, hey and
bombardier wait for replies before they send more, so that a slow server is asked less.
"""

import asyncio
import json
import math
import random
import resource
import sys
import time
from pathlib import Path
from typing import Any

import uvloop

TIMEOUT = 10


class Driver:
    """The connections to one server, and what came of the requests."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self.latencies: dict[str, list[float]] = {}
        self.errors: dict[str, list[str]] = {}

    async def send(self, kind: str, text: bytes, due: float) -> None:
        """One request, at `due`."""
        try:
            async with asyncio.timeout(TIMEOUT):
                status = await self._exchange(text)
        except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
            self.errors[kind].append(repr(error))
            return
        self.latencies[kind].append(time.perf_counter() - due)
        if status >= 300:
            self.errors[kind].append(f"status {status}")

    async def _exchange(self, text: bytes) -> int:
        connection = self._free.pop() if self._free else await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = connection
        try:
            writer.write(text)
            head = await reader.readuntil(b"\r\n\r\n")
            await _body(reader, head.lower())
        except BaseException:
            writer.close()
            raise
        self._free.append(connection)
        return int(head[9:12])

    async def stream(self, plan: dict[str, Any], began: float, seconds: float) -> None:
        """All requests of one kind, each in a task of its own."""
        kind, texts = plan["kind"], [text.encode() for text in plan["texts"]]
        self.latencies[kind], self.errors[kind] = [], []
        moments = random.Random(plan["users"])
        phases = [moments.random() * plan["every"] for _ in range(plan["users"])]
        times = sorted(phase + turn * plan["every"] for phase in phases for turn in range(int(seconds / plan["every"])))
        async with asyncio.TaskGroup() as tasks:
            for number, offset in enumerate(times):
                await asyncio.sleep(began + offset - time.perf_counter())
                tasks.create_task(self.send(kind, texts[number % len(texts)], began + offset))


async def _body(reader: asyncio.StreamReader, head: bytes) -> None:
    if b"transfer-encoding: chunked" in head:
        while size := int(await reader.readuntil(b"\r\n"), 16):
            await reader.readexactly(size + 2)
        await reader.readuntil(b"\r\n")
        return
    _, found, rest = head.partition(b"content-length:")
    if found:
        await reader.readexactly(int(rest.split(b"\r\n", 1)[0]))


def _at(ordered: list[float], share: float) -> float:
    """The nearest-rank percentile, in milliseconds."""
    return ordered[max(math.ceil(len(ordered) * share) - 1, 0)] * 1000 if ordered else math.inf


async def main(plan: dict[str, Any]) -> None:
    driver = Driver(plan["port"])
    began = time.perf_counter() + 0.2
    await asyncio.gather(*(driver.stream(one, began, plan["seconds"]) for one in plan["streams"]))
    told = {}
    for kind, latencies in driver.latencies.items():
        ordered = sorted(latencies)
        told[kind] = {f"p{share}": _at(ordered, share / 100) for share in (50, 95, 99)}
        told[kind] |= {"requests": len(ordered), "errors": len(driver.errors[kind]), "first": driver.errors[kind][:3]}
    print(json.dumps(told))


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    uvloop.run(main(json.loads(Path(sys.argv[1]).read_text())))
