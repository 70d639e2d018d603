"""All servers at once, slice by slice in turn: ratios that the machine's changing load moves little.

Each slice of one server is followed at once by one of the next, and each round begins with another server.
"""

from argparse import Namespace
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

from closed_loop import check_all, load, owners, requests, write
from prepare import databases
from servers import running

OPERATIONS = ("get", "list of 50", "create", "update")
MEASURES = ("rps", "p50", "p95", "cpu")
Slices = dict[str, dict[str, list[dict[str, float]]]]
"""Operation, server, and what `load` told of each round."""


def measure(options: Namespace, url: str) -> dict[str, Any]:
    """Requests/s, latency and CPU of each server, and our requests/s by those of each other."""
    with databases(url, options.servers, owners(options)) as data, ExitStack() as stack:
        texts = requests(options, data.sample)
        files = {name: write(Path.cwd() / f"{name}.requests", texts[name]) for name in OPERATIONS}
        check_all(options, data)
        up = {name: stack.enter_context(running(name, data.urls[name], options.workers)) for name in options.servers}
        for file in files.values():
            for server in up.values():
                load(server, file, options.warmup, options.connections)
        seen: Slices = {operation: {name: [] for name in up} for operation in files}
        for number in range(options.rounds):
            first = number % len(up)
            for operation, file in files.items():
                for name in [*up][first:] + [*up][:first]:
                    seen[operation][name].append(load(up[name], file, options.seconds, options.connections))
                told = "  ".join(f"{name} {slices[-1]['rps']:.0f}/s" for name, slices in seen[operation].items())
                print(f"round {number + 1}/{options.rounds}  {operation:10} {told}", flush=True)
    return {"summary": _summary(seen), "ratios": _ratios(seen)}


def _summary(seen: Slices) -> dict[str, Any]:
    """What each server did in each operation, over the rounds; errors are added up."""
    return {
        operation: {
            name: {each: middle([one[each] for one in slices]) for each in MEASURES}
            | {"errors": sum(one["refused"] + one["broken"] for one in slices)}
            for name, slices in servers.items()
        }
        for operation, servers in seen.items()
    }


def _ratios(seen: Slices) -> dict[str, Any]:
    """Our requests/s by those of each other server, round by round."""
    told: dict[str, Any] = {}
    for operation, servers in seen.items():
        ours = servers.get("ours", [])
        told[operation] = {
            name: middle([mine["rps"] / one["rps"] for mine, one in zip(ours, slices, strict=True)])
            for name, slices in servers.items()
            if ours and name != "ours"
        }
    return told


def middle(values: list[float]) -> dict[str, float]:
    """Return the median, and the least and most of the middle half."""
    ordered = sorted(values)
    quarter = len(ordered) // 4
    return {"median": median(ordered), "min": ordered[quarter], "max": ordered[-1 - quarter]}
