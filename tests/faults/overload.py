"""Twice the load that the service can take."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from statistics import median
from typing import Any

from tests.faults.report import Report
from tests.faults.stage import Stage, token
from tests.live import Wire

ROOT = Path(__file__).parents[2]
NORMAL = 0.7
"""Of what it can take at most, the share at which latencies are taken for normal."""

ROUNDS = 3
STEPS = 5
"""Halvings by which it is found what the service can take: to a thirtieth of what a few busy connections get."""

QUICK = 0.1
"""Seconds within which those who are turned away know it."""


def _flood(plan: dict[str, Any], seconds: float) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.flood", json.dumps(plan)],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds + 40,
    )
    if done.returncode:
        raise RuntimeError(f"the flood failed: {done.stderr[-1000:]}")
    told: list[dict[str, Any]] = json.loads(done.stdout)
    return told


def _tasks(stage: Stage, bearer: str) -> list[str]:
    made = []
    for _ in range(10):
        body = b'{"title": "To be flooded"}'
        with Wire(stage.port) as wire:
            fields = f"Authorization: Bearer {bearer}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
            wire.send(f"POST /api/v1/me/tasks HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n\r\n".encode() + body)
            made.append(wire.reply().json()["id"])
    return made


def _capacity(plan: dict[str, Any], seconds: float) -> float:
    """The requests a second that it can take: the highest rate at which nobody is turned away, whatever becomes of earlier requests."""
    most = _flood({**plan, "connections": 16, "seconds": seconds}, seconds)[0]["outcomes"].get("200", 0) / seconds
    taken, refused = 0.0, float(most)
    for _ in range(STEPS):
        rate = (taken + refused) / 2
        _, told = _flood({**plan, "stages": [[1.0, rate / 2], [seconds, rate]]}, seconds + 1)
        taken, refused = (rate, refused) if set(told["outcomes"]) == {"200"} else (taken, rate)
    return taken


def overload(stage: Stage, report: Report, seconds: float) -> None:
    """Finds what the service can take, then, in turn, sends a normal load, twice what it can take, and the normal load again.

    The median of the rounds counts: on a machine that is shared the same load has another p95 each time.
    """
    bearer = token("flooded")
    plan = {"port": stage.port, "token": bearer, "tasks": _tasks(stage, bearer)}
    most = _capacity(plan, seconds / 3)
    stages = [[seconds, NORMAL * most], [seconds, 2 * most], [1.0, NORMAL * most], [seconds, NORMAL * most]]
    told = _flood({**plan, "stages": stages * ROUNDS}, (3 * seconds + 1) * ROUNDS)
    before, during, at_once, after = (told[place::4] for place in range(4))
    limit = 2 * _median(before, "accepted_p95")
    outcomes = _outcomes(during)
    total, good = sum(outcomes.values()), outcomes["200"]
    report.figure(
        "Overload",
        f"it can take {most:.0f} requests/s; at {NORMAL:.0%} of that, p95 {_each(before, 'accepted_p95')}. At twice of it "
        f"({2 * most:.0f}/s for {seconds:.0f} s, {ROUNDS} times), {good} of {total} are accepted, p95 {_each(during, 'accepted_p95')}; "
        f"the rest is turned away, p95 {_each(during, 'refused_p95')}; outcomes {dict(outcomes)}",
        holds=0 < _median(during, "accepted_p95") <= limit
        and not set(outcomes) - {"200", "503"}
        and _median(during, "refused_p95") <= QUICK,
    )
    settled = _outcomes(after)
    report.figure(
        "After the overload",
        f"p95 {_each(at_once, 'accepted_p95')} in the first second, {_each(after, 'accepted_p95')} in the {seconds:.0f} s after it; "
        f"outcomes {dict(_outcomes(at_once))}, {dict(settled)}",
        holds=_median(after, "accepted_p95") <= limit and set(settled) == {"200"},
    )


def _median(stages: list[dict[str, Any]], name: str) -> float:
    """Of those in which there were such replies; 0 where there were none."""
    return median([each[name] for each in stages if each[name] is not None] or [0.0])


def _each(stages: list[dict[str, Any]], name: str) -> str:
    parts = ", ".join(f"{(each[name] or 0) * 1000:.0f}" for each in stages)
    return f"{_median(stages, name) * 1000:.0f} ms ({parts})"


def _outcomes(stages: list[dict[str, Any]]) -> Counter[str]:
    return sum((Counter(each["outcomes"]) for each in stages), Counter())
