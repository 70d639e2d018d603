"""Latency at a constant rate: users who send on time, whether or not the server keeps up."""

import json
import subprocess
from argparse import Namespace
from pathlib import Path
from typing import Any

from closed_loop import HOME, mixed, owners, request, requests
from prepare import AUTOCOMMIT, HERE, PYTHON, databases, tidy, token
from servers import running

BIG = 1000  # tasks on the long page


def measure(options: Namespace, url: str) -> dict[str, Any]:
    """p50, p95 and p99 in ms, and errors, of each profile for each server."""
    told: dict[str, Any] = {}
    names = [name for name in options.servers if name not in AUTOCOMMIT]
    with databases(url, names, owners(options)) as data:
        texts = requests(options, data.sample)
        pages = [request("GET", f"{HOME}?limit={BIG}", token(name)) for name in owners(options) if "reader" in name]
        everyday = mixed(texts, 5000)
        profiles = {
            "100 users, one request a second each": [stream("mixed", 100, 1, everyday)],
            "the same, and a list of 1000 tasks each second": [
                stream("mixed", 100, 1, everyday),
                stream("list of 1000", 1, 1, pages),
            ],
            "1000 users, one request every two seconds each": [stream("mixed", 1000, 2, everyday)],
        }
        for name in names:
            told[name] = {}
            for profile, streams in profiles.items():
                tidy(data.urls[name])
                with running(name, data.urls[name], options.workers) as server:
                    for seconds in (3, options.period):  # the first is the warm-up
                        seen = drive(server.port, seconds, streams)
                told[name][profile] = seen
                for kind, one in seen.items():
                    shown = f"p50 {one['p50']:.1f}, p95 {one['p95']:.1f}, p99 {one['p99']:.1f} ms"
                    print(f"{name:8} {profile} ({kind}): {shown}, {one['errors']} errors", flush=True)
    return {"profiles": told}


def stream(kind: str, users: int, every: float, texts: list[str]) -> dict[str, Any]:
    """`users` who each send the next of `texts` once in `every` seconds."""
    return {"kind": kind, "users": users, "every": every, "texts": texts}


def drive(port: int, seconds: float, streams: list[dict[str, Any]]) -> dict[str, Any]:
    """What open_loop_driver.py measured, by kind."""
    plan = Path.cwd() / "open-loop.json"
    plan.write_text(json.dumps({"port": port, "seconds": seconds, "streams": streams}))
    command = [PYTHON, HERE / "open_loop_driver.py", plan]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 90, check=False)
    if done.returncode:
        raise SystemExit(f"the open-loop driver failed:\n{done.stderr}")
    told: dict[str, Any] = json.loads(done.stdout)
    return told
