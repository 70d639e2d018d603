"""Throughput: each server in turn, each operation in turn, with wrk's connections always busy."""

import json
import random
import subprocess
from argparse import Namespace
from pathlib import Path
from statistics import median
from typing import Any

import check
from prepare import AUTOCOMMIT, COMPETITORS, FURTHER, HERE, USUAL, Databases, databases, tidy, token
from servers import Running, running

OPERATIONS = ("get", "list of 50", "create", "update", "complete")
MEASURES = ("rps", "p50", "p95", "p99", "cpu")
HOME = "/api/v1/me/tasks"
PATCH = {"title": "Buy oat milk, changed", "description": "Two litres; the shop around the corner has it until eight."}
NEW = {"title": "Buy oat milk", "description": "Two litres; the shop around the corner has it."}


def owners(options: Namespace) -> dict[str, int]:
    """The users and how many tasks each starts with: readers, whose tasks are read and changed, and makers, who create."""
    readers = {f"reader-{number:03}": options.tasks for number in range(options.users)}
    return readers | {f"maker-{number:03}": 1 for number in range(options.users)}


def request(method: str, path: str, bearer: str, body: Any = None) -> str:
    """A whole HTTP/1.1 request."""
    content = "" if body is None else json.dumps(body)
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {bearer}\r\n"
    if body is not None:
        head += f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n"
    return f"{head}\r\n{content}"


def requests(options: Namespace, sample: list[tuple[str, str]]) -> dict[str, list[str]]:
    """The requests of each operation, the same for every server."""
    bearer = {name: token(name) for name in owners(options)}
    makers = [name for name in bearer if name.startswith("maker-")]
    readers = [name for name in bearer if name.startswith("reader-")]
    return {
        "get": [request("GET", f"{HOME}/{task}", bearer[user]) for user, task in sample],
        "list of 50": [request("GET", f"{HOME}?limit=50", bearer[user]) for user in readers],
        "create": [request("POST", HOME, bearer[user], NEW) for user in makers],
        # In turn, since a change that changes nothing is not written.
        "update": [
            request("PATCH", f"{HOME}/{task}", bearer[user], change) for change in (PATCH, NEW) for user, task in sample
        ],
        "complete": [request("PATCH", f"{HOME}/{task}/complete", bearer[user]) for user, task in sample],
    }


def mixed(texts: dict[str, list[str]], count: int) -> list[str]:
    """A day's mix: half gets, a quarter lists, and a quarter writes."""
    chosen = random.Random(4)
    shares = {"get": 50, "list of 50": 25, "create": 10, "update": 10, "complete": 5}
    kinds = chosen.choices(list(shares), list(shares.values()), k=count)
    return [chosen.choice(texts[kind]) for kind in kinds]


def write(path: Path, texts: list[str]) -> Path:
    """The file that load.lua reads."""
    path.write_text("\0".join(texts), newline="")
    return path


def load(server: Running, file: Path, seconds: int, connections: int) -> dict[str, float]:
    """Wrk's figures: requests/s, milliseconds at 50, 95 and 99 of 100, and the server's CPU seconds per 1000 requests."""
    place = f"http://127.0.0.1:{server.port}"
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "-s", HERE / "load.lua"]
    before = server.cpu()
    done = subprocess.run(
        [*command, place, "--", file], capture_output=True, text=True, timeout=seconds + 60, check=True
    )
    spent = server.cpu() - before
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if not lines:
        raise SystemExit(f"wrk gave no result:\n{done.stdout}\n{done.stderr}")
    told = json.loads(lines[-1].removeprefix("RESULT "))
    return {
        "rps": told["requests"] / (told["microseconds"] / 1e6),
        "p50": told["p50"] / 1000,
        "p95": told["p95"] / 1000,
        "p99": told["p99"] / 1000,
        "cpu": spent / max(told["requests"], 1) * 1000,
        "requests": told["requests"],
        "refused": told["refused"],
        "broken": told["broken"],
    }


def measure(options: Namespace, url: str) -> dict[str, Any]:
    """The rounds: A B C D, A B C D, ... Each turn starts its server anew, on its own database put back in order."""
    with databases(url, options.servers, owners(options)) as data:
        files = {
            operation: write(Path.cwd() / f"{operation}.requests", texts)
            for operation, texts in requests(options, data.sample).items()
        }
        check_all(options, data)
        floor = _faster_floor(options, data, files["get"]) if "floor" in options.servers else None
        rounds: list[dict[str, Any]] = []
        for number in range(options.rounds):
            turn: dict[str, Any] = {}
            for name in options.servers:
                tidy(data.urls[name])
                turn[name] = _turn(options, name, data.urls[name], floor or "", files)
                told = "  ".join(f"{op} {turn[name][op]['rps']:.0f}/s" for op in OPERATIONS)
                print(f"round {number + 1}/{options.rounds}  {name:8} {told}", flush=True)
            rounds.append(turn)
    return {"floor_server": floor, "summary": summary(rounds), "ratios": ratios(rounds), "rounds": rounds}


def check_all(options: Namespace, data: Databases) -> None:
    """Ends the run where the servers do not answer the same."""
    facts, refused = {}, {}
    for name in options.servers:
        with running(name, data.urls[name], options.workers) as server:
            facts[name] = check.answers(server, name, data.sample[0])
            if name != "floor":
                refused[name] = check.refusals(server)
    check.same(facts)
    if "ours" in refused:
        check.same_refusals(refused)
    print(f"{', '.join(facts)} answer the same", flush=True)


def _faster_floor(options: Namespace, data: Databases, file: Path) -> str:
    """The server under which the floor gets more done: uvicorn or gunicorn's ASGI worker."""
    reached = {}
    for kind in ("uvicorn", "gunicorn"):
        with running("floor", data.urls["floor"], options.workers, kind) as server:
            load(server, file, options.warmup, options.connections)
            reached[kind] = load(server, file, options.seconds, options.connections)["rps"]
    print("floor: " + ", ".join(f"{kind} {rps:.0f} gets/s" for kind, rps in reached.items()), flush=True)
    return max(reached, key=reached.__getitem__)


def _turn(options: Namespace, name: str, url: str, floor: str, files: dict[str, Path]) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    with running(name, url, options.workers, floor) as server:
        for operation, file in files.items():
            load(server, file, options.warmup, options.connections)
            seen[operation] = load(server, file, options.seconds, options.connections)
        seen["memory"] = server.memory()
    return seen


def spread(values: list[float]) -> dict[str, float]:
    """Median, least and most over the rounds."""
    return {"median": median(values), "min": min(values), "max": max(values)}


def summary(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Each server's figures over the rounds; errors are added up."""
    told: dict[str, Any] = {}
    for name in rounds[0]:
        told[name] = {}
        for operation in OPERATIONS:
            seen = [turn[name][operation] for turn in rounds]
            told[name][operation] = {measure: spread([one[measure] for one in seen]) for measure in MEASURES}
            told[name][operation]["errors"] = sum(one["refused"] + one["broken"] for one in seen)
        for kind in ("rss", "pss"):
            told[name][kind] = spread([max(turn[name]["memory"][kind]) for turn in rounds])
    return told


def ratios(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Our requests/s by those of the best FastAPI server (for this operation, by the median) and of the others, round by round.

    `usual` is to the better of those with sessions as they are by default, `autocommit` to the better of the others, and `p99` is our
    p99 by the lowest p99 of all of them.
    """
    groups = {
        group: [name for name in names if name in rounds[0]]
        for group, names in {"usual": USUAL, "autocommit": AUTOCOMMIT, "p99": COMPETITORS}.items()
    }
    if "ours" not in rounds[0]:
        return {}
    told: dict[str, Any] = {}
    for operation in OPERATIONS:

        def typical(name: str, measure: str, operation: str = operation) -> float:
            return median([turn[name][operation][measure] for turn in rounds])

        def against(other: str, measure: str, operation: str = operation) -> dict[str, float]:
            pairs = [(turn["ours"][operation][measure], turn[other][operation][measure]) for turn in rounds]
            return spread([mine / theirs for mine, theirs in pairs])

        told[operation] = {}
        for group, names in groups.items():
            if names and group == "p99":
                told[operation][group] = against(min(names, key=lambda name: typical(name, "p99")), "p99")
            elif names:
                better = max(names, key=lambda name: typical(name, "rps"))
                told[operation][group] = {"to": better} | against(better, "rps")
        for name in {*FURTHER, "floor"} & rounds[0].keys():
            told[operation][name] = against(name, "rps")
    return told
