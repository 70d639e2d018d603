"""The plot of docs/benchmarks.md: `plot.py RESULTS.json PLOT.svg`."""

import json
import sys
from pathlib import Path

import matplotlib as mpl

mpl.use("svg")
mpl.rcParams["svg.fonttype"] = "none"
mpl.rcParams["svg.hashsalt"] = "benchmarks"

from matplotlib import pyplot as plt  # noqa: E402  # after the choice of what draws

NAMES = {"ours": "task-api", "async": "FastAPI, async", "threads": "FastAPI, threads", "floor": "floor"}
NAMES |= {"async_autocommit": "FastAPI, async, autocommit", "threads_autocommit": "FastAPI, threads, autocommit"}
NAMES |= {"litestar": "Litestar", "fastify": "Fastify", "fastify_equipped": "Fastify, equipped"}
COLOURS = {"ours": "#0072b2", "async": "#e69f00", "threads": "#cc79a7", "floor": "#999999"}
COLOURS |= {"async_autocommit": "#f0c869", "threads_autocommit": "#dfb3cc"}
COLOURS |= {"litestar": "#009e73", "fastify": "#d55e00", "fastify_equipped": "#e69f73"}


def main(source: Path, target: Path) -> None:
    """Requests/s of each operation and server: medians, with lines from the least to the most of the rounds."""
    told = json.loads(source.read_text())["throughput"]["summary"]
    operations = [name for name in next(iter(told.values())) if name not in ("rss", "pss")]
    width = 0.84 / len(told)
    figure, axes = plt.subplots(figsize=(9, 4.5))
    for place, (name, seen) in enumerate(told.items()):
        rates = [seen[operation]["rps"] for operation in operations]
        middle = [rate["median"] for rate in rates]
        reach = [[rate["median"] - rate["min"] for rate in rates], [rate["max"] - rate["median"] for rate in rates]]
        at = [number + (place - (len(told) - 1) / 2) * width for number in range(len(operations))]
        axes.bar(at, middle, width, yerr=reach, label=NAMES[name], color=COLOURS[name], ecolor="#333333", capsize=2)
    axes.set_xticks(range(len(operations)), operations)
    axes.set_ylabel("requests/s")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.tight_layout()
    figure.savefig(target, metadata={"Date": None})


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
