"""Twice the load that the service can take."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.faults.report import Report
from tests.faults.stage import Stage, token
from tests.live import Wire

ROOT = Path(__file__).parents[2]
NORMAL = 0.7
"""Of what it can take at most, the share at which latencies are taken for normal."""

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


def overload(stage: Stage, report: Report, seconds: float) -> None:
    """Finds what the service can take, then sends a normal load, twice what it can take, and the normal load again."""
    bearer = token("flooded")
    plan = {"port": stage.port, "token": bearer, "tasks": _tasks(stage, bearer)}
    most = _flood({**plan, "connections": 16, "seconds": seconds}, seconds)[0]["outcomes"].get("200", 0) / seconds
    stages = [[seconds, NORMAL * most], [seconds, 2 * most], [1.0, NORMAL * most], [seconds, NORMAL * most]]
    before, during, at_once, after = _flood({**plan, "stages": stages}, 3 * seconds + 1)
    normal, accepted, turned_away = before["accepted_p95"], during["accepted_p95"], during["refused_p95"]
    wrong = set(during["outcomes"]) - {"200", "503"}
    total = sum(during["outcomes"].values())
    good = during["outcomes"].get("200", 0)
    limit = 2 * normal
    report.figure(
        "Overload",
        f"it can take {most:.0f} requests/s; at {NORMAL:.0%} of that, p95 {normal * 1000:.0f} ms. At twice of it "
        f"({2 * most:.0f}/s for {seconds:.0f} s), {good} of {total} are accepted, p95 {(accepted or 0) * 1000:.0f} ms; the rest is "
        f"turned away, p95 {(turned_away or 0) * 1000:.0f} ms; outcomes {during['outcomes']}",
        holds=bool(accepted and accepted <= limit and not wrong and (turned_away or 0) <= QUICK),
    )
    back = at_once["accepted_p95"]
    settled = after["accepted_p95"]
    report.figure(
        "After the overload",
        f"p95 {(back or 0) * 1000:.0f} ms in the first second, {settled * 1000:.0f} ms in the {seconds:.0f} s after it; "
        f"outcomes {at_once['outcomes']}, {after['outcomes']}",
        holds=bool(settled <= limit and set(after["outcomes"]) == {"200"}),
    )
