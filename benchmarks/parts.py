"""What each part costs for a request: the workers, PostgreSQL, PgBouncer and Redis, in processor time.

`PYTHONPATH=. .venv/bin/python benchmarks/parts.py` prints a table for docs/scaling.md. It needs wrk, pgbouncer and redis-server.
Processor time hardly depends on what else the machine does; requests a second do, so none are told.
"""

import argparse
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

import psutil

from closed_loop import OPERATIONS, load, owners, requests, write
from prepare import databases, postgresql, programs
from servers import running
from tests.support.pooler import Pooler
from tests.support.redis_server import RedisServer

SETUPS = ("alone", "PgBouncer", "Redis")


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="slices of each operation and set-up (5)")
    parser.add_argument("--seconds", type=int, default=2, help="of a slice (2)")
    parser.add_argument("--workers", type=int, default=2, help="processes of the service (2)")
    parser.add_argument("--connections", type=int, default=32, help="wrk's connections (32)")
    parser.add_argument("--users", type=int, default=100, help="(100)")
    parser.add_argument("--tasks", type=int, default=300, help="of each user, at first (300)")
    options = parser.parse_args()
    programs()
    print("| operation | set-up | workers, ms | PostgreSQL, ms | PgBouncer, ms | Redis, ms |")
    print("|---|---|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory(prefix="parts-") as name:
        folder = Path(name)
        os.chdir(folder)
        with postgresql(folder / "postgresql") as url, databases(url, ["ours"], owners(options)) as data:
            texts = requests(options, data.sample)
            files = {operation: write(folder / f"{operation}.requests", texts[operation]) for operation in OPERATIONS}
            server = int(next(folder.rglob("postmaster.pid")).read_text().split()[0])
            for setup in SETUPS:
                with _parts(setup, data.urls["ours"]) as (reached, further):
                    _measure(options, setup, reached, files, {"PostgreSQL": server, **further})
        os.chdir("/")


@contextmanager
def _parts(setup: str, url: str) -> Iterator[tuple[str, dict[str, int]]]:
    """Start what belongs to the set-up. Give the database's URL and the further processes."""
    with ExitStack() as stack:
        further = {}
        if setup == "PgBouncer":
            pooler = stack.enter_context(Pooler(url))
            further[setup] = pooler.pid
            url = pooler.url(url)
        if setup == "Redis":
            redis = stack.enter_context(RedisServer()).start()
            further[setup] = redis.pid
            os.environ["RATE_LIMIT_STORAGE_URL"] = redis.url
            stack.callback(os.environ.pop, "RATE_LIMIT_STORAGE_URL")
        yield url, further


def _measure(
    options: argparse.Namespace, setup: str, url: str, files: dict[str, Path], processes: dict[str, int]
) -> None:
    with running("ours", url, options.workers) as service:
        for operation, file in files.items():
            load(service, file, options.seconds, options.connections)  # to warm up
            seen: dict[str, list[float]] = {}
            for _ in range(options.rounds):
                before = {name: _spent(process) for name, process in processes.items()}
                done = load(service, file, options.seconds, options.connections)
                seen.setdefault("workers", []).append(done["cpu"])
                for name, process in processes.items():
                    milliseconds = (_spent(process) - before[name]) / done["requests"] * 1000
                    seen.setdefault(name, []).append(milliseconds)
            told = [
                f"{median(seen[name]):.2f}" if name in seen else "" for name in ("workers", "PostgreSQL", *SETUPS[1:])
            ]
            print(f"| {operation} | {setup} | {' | '.join(told)} |", flush=True)


def _spent(process: int) -> float:
    """Return the seconds of processor time of a process and its children."""
    tree = psutil.Process(process)
    times = [each.cpu_times() for each in (tree, *tree.children(recursive=True))]
    return sum(each.user + each.system for each in times)


if __name__ == "__main__":
    main()
