"""Measures the service against its competitors. `python benchmarks/run.py --help`; docs/benchmarks.md tells more.

Everything runs on this machine and loopback, in a temporary folder, ends by itself, and is ended by process id.
"""

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import closed_loop
import figures
import lists
import open_loop
import operations
import peers
import prepare
import report
from servers import TITLES

MODES: dict[str, Callable[[argparse.Namespace, str], dict[str, Any]]] = {
    "throughput": closed_loop.measure,
    "peers": peers.measure,
    "flat": figures.flat,
    "lists": lists.lists,
    "operations": operations.operations,
    "one_user": operations.one_user,
    "open_loop": open_loop.measure,
    "memory": figures.memory,
    "start": figures.start,
}


def main() -> int:
    """Runs the modes that were asked for; 1 where a server answered a request with an error."""
    options = _options()
    os.environ["BENCH_POOL_SIZE"] = str(options.pool)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that what was started is ended
    _programs(options)
    place = Path(options.out).resolve() if options.out else None
    failed = False
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as folder:
        os.chdir(folder)
        with prepare.postgresql(Path(folder) / "postgresql") as url:
            for mode in options.modes:
                began = time.monotonic()
                told = MODES[mode](options, url)
                about = {
                    "when": datetime.now(UTC).isoformat(timespec="seconds"),
                    "seconds": round(time.monotonic() - began),
                    "machine": report.machine(url),
                    "options": {key: value for key, value in vars(options).items() if key not in ("modes", "out")},
                }
                results = report.keep(mode, {**about, **told}, place)
                failed |= report.errors(told) > 0
                print(report.tables(results, [mode]), flush=True)
            report.publish(results, place)
        os.chdir(prepare.HERE)
    if failed:
        print("Some requests were answered with an error: these figures do not count.", file=sys.stderr)
    return int(failed)


def _programs(options: argparse.Namespace) -> None:
    """Installs what the modes need, and leaves Fastify out where there is no Node."""
    modes = {*options.modes}
    if modes - {"lists"}:
        prepare.programs()
    with_node = {*prepare.NODE} & {*options.servers} and modes & {"throughput", "peers", "open_loop", "start"}
    if with_node and not prepare.node():
        print(f"Node {prepare.OLDEST_NODE} or newer is missing: Fastify is left out.", flush=True)
        options.servers = [name for name in options.servers if name not in prepare.NODE]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks/run.py", description=__doc__)
    for mode, about in {
        "throughput": "requests/s of each server, in turn (the default)",
        "peers": "the same in short: all servers up, slice by slice in turn",
        "flat": "latency for a user with few tasks and one with many",
        "lists": "the same for lists, by each sort and with each filter",
        "operations": "feed, batch, move and filtered lists, for a user with few tasks and one with many",
        "one-user": "how fast one user can create tasks, by single requests and by batches",
        "open-loop": "latency at a constant rate of arrivals",
        "memory": "memory of a worker after many requests, and after twice as many",
        "start": "seconds from a process's start to its first answer",
    }.items():
        parser.add_argument(f"--{mode}", dest="modes", action="append_const", const=mode.replace("-", "_"), help=about)
    parser.add_argument("--all", action="store_true", help="every mode, one after the other")
    parser.add_argument(
        "--out", metavar="FOLDER", help="write results and tables there, and leave this repository alone"
    )
    parser.add_argument("--servers", type=_servers, default=list(TITLES), help="of ours,async,...: all by default")
    parser.add_argument("--workers", type=int, default=2, help="processes of each server (2)")
    parser.add_argument("--connections", type=int, default=32, help="wrk's connections (32)")
    parser.add_argument("--rounds", type=int, default=5, help="(5)")
    parser.add_argument("--seconds", type=int, default=8, help="of each operation in each round (8)")
    parser.add_argument("--warmup", type=int, default=2, help="seconds before each, not counted (2)")
    parser.add_argument("--pool", type=int, default=8, help="connections and threads of each worker, not ours (8)")
    parser.add_argument("--users", type=int, default=100, help="(100)")
    parser.add_argument("--tasks", type=int, default=1000, help="of each user, at first (1000)")
    parser.add_argument("--many", type=int, default=100_000, help="--flat: tasks of the user with many (100000)")
    parser.add_argument("--rows", type=int, default=1_000_000, help="--flat: tasks of all users together (1000000)")
    parser.add_argument("--repeats", type=int, default=400, help="--flat: requests of each kind (400)")
    parser.add_argument("--period", type=float, default=60, help="--open-loop: seconds of each profile (60)")
    parser.add_argument("--requests", type=int, default=100_000, help="--memory: twice this many are sent (100000)")
    parser.add_argument("--starts", type=int, default=10, help="--start: how often each server is started (10)")
    options = parser.parse_args()
    options.modes = list(MODES) if options.all else options.modes or ["throughput"]
    del options.all
    return options


def _servers(text: str) -> list[str]:
    names = text.split(",")
    if set(names) - set(TITLES):
        raise argparse.ArgumentTypeError(f"choose from {','.join(TITLES)}")
    return names


if __name__ == "__main__":
    sys.exit(main())
