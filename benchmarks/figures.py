"""The service's other figures: cost by the number of tasks, memory, and start."""

import http.client
import json
import math
import time
from argparse import Namespace
from pathlib import Path
from statistics import median
from typing import Any

from closed_loop import HOME, NEW, PATCH, load, mixed, owners, requests, spread, write
from prepare import AUTOCOMMIT, databases, execute, tidy, token
from servers import Running, running

WARMUP = 50  # of each request, before any counts
CHUNK = 10  # seconds between two looks at the number of requests


class User:
    """One user's requests, on one connection that stays open."""

    def __init__(self, server: Running, name: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        self._headers = {"Authorization": f"Bearer {token(name)}"}

    def ask(self, method: str, path: str, body: Any = None) -> tuple[float, Any]:
        """Milliseconds until the whole reply was there, and the reply."""
        headers = self._headers | ({} if body is None else {"Content-Type": "application/json"})
        content = None if body is None else json.dumps(body)
        began = time.perf_counter()
        self._connection.request(method, path, content, headers)
        reply = self._connection.getresponse()
        received = reply.read()
        spent = time.perf_counter() - began
        if reply.status >= 300:
            raise SystemExit(f"{method} {path}: {reply.status} {received[:200]!r}")
        return spent * 1000, json.loads(received) if received else None

    def walk(self, deep: int) -> tuple[list[str], str]:
        """Task ids from the start of the list to `deep`, and the cursor from there."""
        page = f"{HOME}?limit={min(deep, 1000)}"
        ids: list[str] = []
        cursor = ""
        while len(ids) < deep:
            told = self.ask("GET", page + (f"&cursor={cursor}" if cursor else ""))[1]
            ids += [task["id"] for task in told["items"]]
            cursor = told["next_cursor"]
        return ids, cursor


def flat(options: Namespace, url: str) -> dict[str, Any]:
    """Median latency, one request at a time, of a user with few tasks and one with many, asked in turn; and the ratio."""
    few = 100
    others = math.ceil(max(options.rows - options.many - few, 0) / 1000)
    counts = {"reader-few": few, "reader-many": options.many} | {f"other-{one:04}": 1000 for one in range(others)}
    with databases(url, ["ours"], counts) as data, running("ours", data.urls["ours"], 1) as server:
        asked: dict[str, dict[str, Any]] = {}
        for name, deep in (("few", few // 2), ("many", options.many // 2)):
            user = User(server, f"reader-{name}")
            ids, cursor = user.walk(deep)
            asked[name] = {"user": user, "ids": ids, "cursor": cursor, "ms": {}}
        for number in range(WARMUP + options.repeats):
            for name in ("few", "many") if number % 2 else ("many", "few"):
                for kind, spent in _each(asked[name], number).items():
                    if number >= WARMUP:
                        asked[name]["ms"].setdefault(kind, []).append(spent)
        rows = execute(data.urls["ours"], "SELECT reltuples::bigint FROM pg_class WHERE relname = 'tasks'")[0][0]
    told = {}
    for kind, seen in asked["many"]["ms"].items():
        low, high = median(asked["few"]["ms"][kind]), median(seen)
        told[kind] = {"few_ms": low, "many_ms": high, "ratio": high / low}
        print(f"{kind:18} {few} tasks {low:.2f} ms, {options.many} tasks {high:.2f} ms: {high / low:.2f}", flush=True)
    return {"few": few, "many": options.many, "rows": int(rows), "operations": told}


def _each(asked: dict[str, Any], number: int) -> dict[str, float]:
    """Milliseconds of each operation, once. What is created is deleted again, so that few stay few."""
    user, place = asked["user"], f"{HOME}/{asked['ids'][number * 7919 % len(asked['ids'])]}"
    told = {
        "get": user.ask("GET", place)[0],
        "first page of 50": user.ask("GET", f"{HOME}?limit=50")[0],
        "deep page of 50": user.ask("GET", f"{HOME}?limit=50&cursor={asked['cursor']}")[0],
        "update": user.ask("PATCH", place, PATCH | {"title": f"Buy oat milk, change {number}"})[0],
    }
    told["create"], made = user.ask("POST", HOME, NEW)
    user.ask("DELETE", f"{HOME}/{made['id']}")
    return told


def memory(options: Namespace, url: str) -> dict[str, Any]:
    """MB of the largest worker: at the start, after so many mixed requests, and after twice as many."""
    with databases(url, ["ours"], owners(options)) as data:
        file = write(Path.cwd() / "mixed.requests", mixed(requests(options, data.sample), 20000))
        with running("ours", data.urls["ours"], options.workers) as server:
            points = [{"requests": 0, **server.memory()}]
            sent = errors = 0
            while len(points) < 3:
                seen = load(server, file, min(options.seconds, CHUNK), options.connections)
                sent += int(seen["requests"])
                errors += int(seen["refused"] + seen["broken"])
                if sent >= options.requests * len(points):
                    points.append({"requests": sent, **server.memory()})
                    print(f"{sent} requests: {max(points[-1]['rss']):.1f} MB (RSS) the largest worker", flush=True)
    return {"points": points, "errors": errors}


def start(options: Namespace, url: str) -> dict[str, Any]:
    """Seconds from the process's start to the first page of a list, for each server; the database is there and migrated."""
    told = {}
    names = [name for name in options.servers if name not in AUTOCOMMIT]
    with databases(url, names, owners(options)) as data:
        for name in names:
            seen = []
            for _ in range(options.starts):
                with running(name, data.urls[name], options.workers) as server:
                    seen.append(server.first_answer)
            told[name] = spread(seen)
            print(f"{name:8} first answer after {told[name]['median']:.2f} s", flush=True)
            tidy(data.urls[name])
    return {"seconds_to_first_answer": told}
