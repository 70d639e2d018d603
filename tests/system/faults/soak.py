"""A long run without a fault: nothing grows, and logs and metrics add up to what was sent."""

import json
import re
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psutil

from tests.system.faults.load import Load, Sent
from tests.system.faults.observation import is_good, percentile_95
from tests.system.faults.report import Report
from tests.system.faults.stage import Stage

EVERY = 5.0
"""Seconds between two looks."""

GROWTH = 0.03
"""The share by which a worker's memory may be larger in the last fifth of the time than in the second: what its caches still take."""

LOST_WITH_A_WORKER = 0.25
"""Seconds before a worker was killed hard whose log lines may be lost with it: 50 ms in its buffer, and the way to us."""

_COUNT = re.compile(r'todo_api_request_duration_seconds_count\{operation="(\w+)",status="(\w+)"\} ([0-9.e+]+)')


@dataclass(frozen=True)
class Look:
    """Resources of the workers at a moment."""

    memory: int
    threads: int
    files: int
    connections: int
    sessions: int


def look(stage: Stage) -> Look:
    """The sum over the workers, and the sessions of the database."""
    memory = threads = files = connections = 0
    for worker in stage.workers():
        with suppress(psutil.Error):
            memory += worker.memory_info().rss
            threads += worker.num_threads()
            files += worker.num_fds()
            connections += sum(it.status == psutil.CONN_ESTABLISHED for it in worker.net_connections("tcp"))
    sessions = stage.sql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'task-api'")[0][0]
    return Look(memory, threads, files, connections, sessions)


def soak(stage: Stage, load: Load, report: Report, seconds: float) -> None:
    """The load for so long; it must be paused before, and is again after."""
    counted, first = counts(stage), len(load.sent)
    load.go()
    looks = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(EVERY)
        looks.append(look(stage))
    load.pause()
    sent = load.sent[first:]
    _growth(looks, report, seconds)
    failed = Counter(it.outcome for it in sent if not is_good(it))
    p95 = percentile_95([it.seconds for it in sent])
    report.figure(
        "Soak",
        f"{len(sent)} requests in {seconds / 60:.1f} minutes, p95 {p95 * 1000:.0f} ms, failed: {sum(failed.values())}",
        holds=not failed,
    )
    expected = Counter((it.operation, str(it.outcome)) for it in sent)
    found = counts(stage)
    found.subtract(counted)
    differing = {name: (found[name], expected[name]) for name in {*found, *expected} if found[name] != expected[name]}
    ours = {name: pair for name, pair in differing.items() if name[0] in {it.operation for it in sent}}
    report.figure(
        "Metrics",
        f"`/metrics` counts {sum(expected.values())} requests of the soak by operation and status as they were sent"
        + (f", except (counted, sent): {ours}" if ours else ""),
        holds=not ours and bool(expected),
    )


def _growth(looks: list[Look], report: Report, seconds: float) -> None:
    fifth = max(1, len(looks) // 5)
    early, late = looks[fifth : 2 * fifth] or looks, looks[-fifth:]
    memory = [median(it.memory for it in part) / 2**20 for part in (early, late)]
    report.figure(
        "Memory of the workers",
        f"{memory[0]:.1f} MiB in the second fifth of {seconds / 60:.1f} minutes, {memory[1]:.1f} MiB in the last",
        holds=memory[1] <= memory[0] * (1 + GROWTH),
    )
    for name in ("threads", "files", "connections", "sessions"):
        first, last = (max(getattr(it, name) for it in part) for part in (early, late))
        what = "sessions of the database" if name == "sessions" else f"{name} of the workers"
        report.figure(
            what.capitalize(), f"at most {first} in the second fifth, {last} in the last", holds=last <= first
        )


def counts(stage: Stage) -> Counter[tuple[str, str]]:
    """The requests that `/metrics` tells of, by operation and status."""
    text = stage.get("/metrics")[1].decode()
    return Counter({(operation, status): int(float(number)) for operation, status, number in _COUNT.findall(text)})


def logs(log: Path, sent: list[Sent], killed: list[float], report: Report) -> None:
    """Every line parses, and tells of each reply once, with its operation and status. `killed`: when workers were killed hard."""
    wrong, lines = 0, 0
    told: dict[str, list[tuple[str, int]]] = {}
    with log.open(encoding="utf-8") as file:
        for line in file:
            lines += 1
            try:
                event = json.loads(line)
            except ValueError:
                wrong += 1
                continue
            if event.get("event") == "request":
                told.setdefault(event["request_id"], []).append((event["operation"], event["status"]))
    answered = [it for it in sent if isinstance(it.outcome, int)]
    missing = [it for it in answered if it.request_id not in told]
    excused = [it for it in missing if any(0 <= at - it.at - it.seconds < LOST_WITH_A_WORKER for at in killed)]
    differing = [it for it in answered if it.request_id in told and told[it.request_id] != [(it.operation, it.outcome)]]
    for it in set(missing) - set(excused):
        nearest = min((it.at + it.seconds - at for at in killed), key=abs, default=float("nan"))
        print(f"    not told: {it}, {nearest:.2f} s from a worker's end", flush=True)
    report.figure(
        "Logs",
        f"{lines} lines, {wrong} of which are no JSON; of {len(answered)} replies, {len(differing)} are told otherwise or twice, and "
        f"{len(missing)} are not told, {len(excused)} of them lost with a worker killed hard",
        holds=not wrong and not differing and len(missing) == len(excused) and bool(answered),
    )
