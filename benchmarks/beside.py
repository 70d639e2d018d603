"""Two revisions in one run: slice by slice in turn, on the same PostgreSQL, with the same requests.

`python benchmarks/beside.py TREE` takes the other revision's working tree, which has its own `.venv`.
Figures of runs one after the other differ by more than the revisions do. Here both servers are up,
and each slice of one is followed at once by one of the other; who goes first alternates.
"""

import argparse
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from closed_loop import OPERATIONS, load, owners, requests, write
from prepare import BEFORE, databases, postgresql, programs
from servers import Running, running

NAMES = ("before", "ours")


def main() -> None:
    """Measure, and print a table for docs/benchmarks.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tree", type=Path, help="working tree of the other revision")
    parser.add_argument("--rounds", type=int, default=10, help="slices of each operation and revision (10)")
    parser.add_argument("--seconds", type=int, default=2, help="of a slice (2)")
    parser.add_argument("--workers", type=int, default=2, help="processes of each server (2)")
    parser.add_argument("--connections", type=int, default=32, help="wrk's connections (32)")
    parser.add_argument("--users", type=int, default=100, help="(100)")
    parser.add_argument("--tasks", type=int, default=300, help="of each user, at first (300)")
    options = parser.parse_args()
    os.environ[BEFORE] = str(options.tree.resolve())
    programs()
    with tempfile.TemporaryDirectory(prefix="beside-") as folder:
        os.chdir(folder)
        with _servers(options, Path(folder)) as (servers, files):
            seen = _measure(options, servers, files)
        os.chdir("/")
    print(_table(seen))


@contextmanager
def _servers(options: argparse.Namespace, folder: Path) -> Iterator[tuple[dict[str, Running], dict[str, Path]]]:
    with postgresql(folder / "postgresql") as url, databases(url, list(NAMES), owners(options)) as data:
        texts = requests(options, data.sample)
        files = {name: write(folder / f"{name}.requests", texts[name]) for name in OPERATIONS}
        with (
            running("before", data.urls["before"], options.workers) as before,
            running("ours", data.urls["ours"], options.workers) as ours,
        ):
            yield {"before": before, "ours": ours}, files


def _measure(
    options: argparse.Namespace, servers: dict[str, Running], files: dict[str, Path]
) -> dict[str, dict[str, list[dict[str, float]]]]:
    seen: dict[str, dict[str, list[dict[str, float]]]] = {op: {name: [] for name in NAMES} for op in OPERATIONS}
    for operation in OPERATIONS:
        for server in servers.values():
            load(server, files[operation], options.seconds, options.connections)  # to warm up
    for number in range(options.rounds):
        for operation in OPERATIONS:
            for name in NAMES if number % 2 else reversed(NAMES):
                done = load(servers[name], files[operation], options.seconds, options.connections)
                if done["refused"] or done["broken"]:
                    raise SystemExit(f"{name}, {operation}: {json.dumps(done)}")
                seen[operation][name].append(done)
    return seen


def _table(seen: dict[str, dict[str, list[dict[str, float]]]]) -> str:
    lines = [
        "| operation | before, requests/s | after | ratio | CPU ms of the workers, before | after | ratio |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for operation, slices in seen.items():
        cells = [operation]
        for measure, digits in (("rps", 0), ("cpu", 2)):
            values = [[each[measure] for each in slices[name]] for name in NAMES]
            cells += [_spread(each, digits) for each in values]
            cells.append(_spread([after / before for before, after in zip(*values, strict=True)], 2))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _spread(values: list[float], digits: int) -> str:
    """Return the median, and the middle half in brackets."""
    ordered = sorted(values)
    quarter = len(ordered) // 4
    return f"{median(ordered):.{digits}f} ({ordered[quarter]:.{digits}f}-{ordered[-1 - quarter]:.{digits}f})"


if __name__ == "__main__":
    revision = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=True)
    print(f"Revision {revision.stdout.strip()}")
    main()
