"""Floods from processes of their own, the requests that they send, and what is told of them."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from tests.support.live import Wire
from tests.system.faults.stage import Stage, token

ROOT = Path(__file__).parents[3]
TASKS = "/api/v1/me/tasks"
USERS = 16
GRACE = 40

Told = dict[str, Any]


class Flood:
    """One flood, from its start on."""

    def __init__(self, stage: Stage, texts: list[str], **plan: Any) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.system.faults.flood"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"port": stage.port, "texts": texts, **plan}))
        self._process.stdin.close()
        self._process.stdin = None
        self._seconds = plan.get("seconds", 0.0) + sum(seconds for seconds, _ in plan.get("stages", []))

    def told(self) -> list[Told]:
        """Return the outcomes of each stage, at its end."""
        try:
            said, errors = self._process.communicate(timeout=self._seconds + GRACE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise
        if self._process.returncode:
            raise RuntimeError(f"the flood failed: {errors[-1000:]}")
        told: list[Told] = json.loads(said)
        return told


def request(method: str, path: str, bearer: str = "", body: str = "") -> str:
    """The text of a request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost"]
    if bearer:
        lines.append(f"Authorization: Bearer {bearer}")
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", body])


def mixture(stage: Stage) -> list[str]:
    """Yield requests of sixteen users in turn: seven reads, two lists, a change."""
    texts: list[list[str]] = []
    for number in range(USERS):
        bearer = token(f"flooded-{number}")
        made = []
        for _ in range(8):
            with Wire(stage.port) as wire:
                wire.send(request("POST", TASKS, bearer, '{"title": "To be flooded"}').encode())
                made.append(f"{TASKS}/{wire.reply().json()['id']}")
        reads = [request("GET", task, bearer) for task in made[:7]]
        lists = [request("GET", f"{TASKS}?limit=20", bearer)] * 2
        texts.append([*reads, *lists, request("PATCH", made[7], bearer, '{"title": "Flooded"}')])
    return [text for turn in zip(*texts, strict=True) for text in turn]


def outcomes(told: list[Told]) -> Counter[str]:
    """Return the number of each outcome, of all stages."""
    return sum((Counter(each["outcomes"]) for each in told), Counter())


def milliseconds(told: list[Told], name: str) -> list[float]:
    """The percentiles at 5, 50 and 95 of such replies, the worst of all stages; -1 where there were none."""
    found = [each[name] for each in told if each[name] is not None]
    return [max((each[place] for each in found), default=-0.001) * 1000 for place in range(3)]
