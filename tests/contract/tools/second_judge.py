"""Redocly as a second judge of the running service, beside schemathesis and our own checks: `make respect`.

First the workflows of `docs/task-lifecycle.arazzo.yaml`. Then a run of schemathesis with valid requests alone, recorded as HAR and
judged again by another code base. The record has tokens in it, so it is made in a temporary folder and goes with it.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.support.live import Live
from tests.system.fuzz.fuzzing import SETTINGS, fuzz
from todo_api import contract

ROOT = Path(__file__).parents[3]
REDOCLY = ROOT / "node_modules" / ".bin" / "redocly"
WORKFLOWS = ROOT / "docs" / "task-lifecycle.arazzo.yaml"
ADA = {"email": "ada@example.com", "password": "correct horse battery staple"}
LISTS = {
    parameter["name"]
    for parameter in contract.load(contract.TASK_API)["components"]["parameters"].values()
    if parameter["in"] == "query" and parameter.get("explode") is False
}
"""Query parameters that take a list, separated by commas."""

LIMIT = 120
"""Seconds that Redocly may take for one of its two parts."""


def redocly(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    """A run of Redocly, which sends nothing to its makers."""
    return subprocess.run(
        [REDOCLY, *arguments],
        cwd=ROOT,
        env=os.environ | {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true", "NO_COLOR": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT,
    )


def respect(service: Live) -> bool:
    """Return whether every step of the workflows succeeds as written."""
    done = redocly("respect", WORKFLOWS, "--server", f"tasks={service.origin}/api/v1", "--input", json.dumps(ADA))
    print(done.stdout)
    steps = WORKFLOWS.read_text(encoding="utf-8").count("- stepId:")
    return done.returncode == 0 and f"Steps: {steps} passed, {steps} total" in done.stdout


def drift(service: Live, folder: Path) -> bool:
    """Return whether the traffic that schemathesis makes in its positive mode keeps the contract."""
    har, report, bundle = folder / "traffic.har", folder / "drift.json", folder / "task-api.yaml"
    bundle.write_bytes(contract.as_yaml(contract.TASK_API))
    fuzz(
        service,
        folder,
        "--mode=positive",
        "--max-examples=20",
        "--seed=1",
        "--exclude-checks=ignored_auth",  # it leaves out the token on purpose
        "--report=har",
        f"--report-har-path={har}",
        "--output-sanitize=false",  # else the judge sees no tokens
    )
    done = redocly(
        *("drift", har, "--api", bundle, "--server", f"{service.origin}/api/v1", "--coverage"),
        *("--ignore-headers=x-schemathesis-*", "--format=json", "--output", report),
    )
    if not report.exists():
        print(done.stdout, done.stderr)
        return False
    print(done.stdout + done.stderr[done.stderr.find("API coverage") :])
    found = json.loads(report.read_text(encoding="utf-8"))
    wrong = [problem for problem in found["problems"] if not _is_misread(problem)]
    print(f"{found['run']['documentedExchanges']} exchanges judged, {len(wrong)} problems.")
    for problem in wrong:
        print(json.dumps(problem, indent=2))
    return found["run"]["documentedExchanges"] > 0 and found["run"]["undocumentedExchanges"] == 0 and not wrong


def _is_misread(problem: dict[str, Any]) -> bool:
    """Redocly 2.77 takes a comma-separated list for one value, although the contract says `explode: false`."""
    details = problem["details"]
    parameter = details.get("parameter", {})
    return parameter.get("in") == "query" and parameter.get("name") in LISTS and "," in str(details["actual"])


def main() -> int:
    """0 where both find nothing, 1 where not."""
    with tempfile.TemporaryDirectory(prefix="second-judge-") as above, Live(Path(above), **SETTINGS) as service:
        service.ready()
        verdicts = [respect(service), drift(service, Path(above))]
    return 0 if all(verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
