"""Where the time of one getTask goes: before (Connexion as its tutorials write it) and after (this service).

Each server runs with one worker under load from wrk; py-spy samples the stacks of the thread that runs Python, and a sample counts for
the innermost layer on its stack. The shares are of the worker's processor time, divided by the requests it answered.
"""

import asyncio
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import psutil

import prepare
from todo_api.database.database import Database
from todo_api.database.greenlets import spawn
from todo_api.provisioning import migrations
from todo_api.tasks.service import TaskService

SECONDS = 15
PORT = 8471
USER = "layers"
LAYERS = (
    (
        "psycopg2 and PostgreSQL's answer",
        r"todo_api/database/(pool|connection)\.py|psycopg2|do_execute \(sqlalchemy/engine/default",
    ),
    ("SQLAlchemy", r"sqlalchemy/|todo_api/database/(database|transaction|statement)\.py"),
    ("serialization", r"orjson|marshmallow/|todo_api/schemas\.py|jsonifier|json/(encoder|__init__)"),
    (
        "handler and service",
        r"todo_api/(tasks|accounts|api_keys|idempotency)/|todo_api/(services|guards|etags)\.py|get_task \(.*plain_connexion",
    ),
    ("Flask and werkzeug", r"flask/|werkzeug/|todo_api/http/dispatch\.py|view \("),
    ("security", r"jwt/|connexion/(middleware/)?security|todo_api/(auth|http/authentication)|verify \("),
    (
        "validation",
        r"jsonschema|referencing|connexion/(middleware/request_validation|validators|uri_parsing|json_schema)|"
        r"todo_api/http/(validation|body)|todo_api/contract/",
    ),
    (
        "routing",
        r"starlette/(routing|_utils|convertors)|connexion/middleware/routing|todo_api/(http/routing|site/pages)",
    ),
    (
        "hand-over to the handler",
        r"todo_api/database/greenlets|todo_api/http/admission|a2wsgi|concurrent/futures|threading\.py|queue",
    ),
    ("other middlewares and decorators", r"connexion/|starlette/|todo_api/http/|inflection"),
    ("server (gunicorn, event loop)", r"gunicorn|asyncio|uvloop|."),
)
"""Layers from the inside out, by their frames. A sample counts for the innermost frame that belongs to one."""


def main() -> int:
    """Prints the table, and writes it to the file that is named."""
    prepare.programs()
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as folder:
        os.chdir(folder)
        with prepare.postgresql(Path(folder) / "postgresql") as url:
            before = attribute(
                url,
                [
                    sys.executable,
                    "-m",
                    "gunicorn",
                    "-k",
                    "asgi",
                    "-w",
                    "1",
                    "--no-control-socket",
                    "plain_connexion:app",
                ],
            )
            after = attribute(url, [str(Path(sys.executable).with_name("todo-api")), "serve", "--workers", "1"])
    table = markdown(before, after)
    print(table)
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(table, encoding="utf-8")
    return 0


def attribute(url: str, command: list[str]) -> dict[str, float]:
    """Microseconds of the worker's processor time for one request, by layer."""
    migrations.migrate(url)
    service = TaskService(Database(url, pool_size=1), USER)
    task = asyncio.run(spawn(service.create, "Buy milk", "Two litres, oat.", "pending"))
    environment = os.environ | {
        "DATABASE_URL": url,
        "JWT_SECRET": prepare.SECRET,
        "RATE_LIMIT": "off",
        "PYTHONPATH": str(prepare.HERE),
        "PORT": str(PORT),
        "GUNICORN_CMD_ARGS": f"--bind 127.0.0.1:{PORT}",
    }
    with Path("server.log").open("ab") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        worker = _worker(server)
        load = ["wrk", "-t1", "-c32", f"-d{SECONDS}s", "-H", f"Authorization: Bearer {prepare.token(USER)}"]
        load.append(f"http://127.0.0.1:{PORT}/api/v1/me/tasks/{task.id}")
        subprocess.run([*load[:3], "-d3s", *load[4:]], check=True, capture_output=True)
        began = sum(worker.cpu_times()[:2])
        answered = subprocess.run(load, check=True, capture_output=True, text=True).stdout
        spent = sum(worker.cpu_times()[:2]) - began
        if "Non-2xx" in answered:
            raise SystemExit(answered)
        each = spent / int(re.findall(r"(\d+) requests in", answered)[0]) * 1e6
        # Sampled under a load of its own, since a profiler slows what it watches.
        with subprocess.Popen(load, stdout=subprocess.DEVNULL):
            samples = _samples(worker.pid)
    finally:
        server.terminate()
        server.wait(15)
    shares = Counter({layer: 0 for layer, _ in LAYERS})
    for stack, count in samples:
        shares[_layer(stack)] += count
    return {"all": each} | {layer: each * count / shares.total() for layer, count in shares.items()}


def _worker(server: "subprocess.Popen[bytes]") -> psutil.Process:
    for _ in range(300):
        time.sleep(0.1)
        workers = [
            child
            for child in psutil.Process(server.pid).children()
            if "python" in child.name() or "todo" in child.name()
        ]
        if workers:
            time.sleep(2)
            return workers[0]
    raise SystemExit(Path("server.log").read_text(errors="replace"))


def _samples(pid: int) -> list[tuple[list[str], int]]:
    """Stacks, outermost frame first, and how often each was seen. Only of the thread that holds Python's lock."""
    spy = [prepare.PYTHON.with_name("py-spy"), "record", "--pid", str(pid), "--format", "raw", "--rate", "250"]
    output = Path("stacks.txt")
    subprocess.run([*spy, "--duration", str(SECONDS - 3), "--output", output, "--gil"], check=True, capture_output=True)
    lines = (line.rpartition(" ") for line in output.read_text(encoding="utf-8").splitlines())
    return [(stack.split(";"), int(count)) for stack, _, count in lines]


def _layer(stack: list[str]) -> str:
    for frame in reversed(stack):
        for layer, pattern in LAYERS[:-1]:
            if re.search(pattern, frame):
                return layer
    return LAYERS[-1][0]


def markdown(before: dict[str, float], after: dict[str, float]) -> str:
    """The table of docs/benchmarks.md."""
    rows = ["| layer | before, µs | after, µs |", "|---|---:|---:|"]
    rows += [f"| {layer} | {before[layer]:.0f} | {after[layer]:.0f} |" for layer, _ in reversed(LAYERS)]
    return "\n".join([*rows, f"| **one get** | **{before['all']:.0f}** | **{after['all']:.0f}** |", ""])


if __name__ == "__main__":
    sys.exit(main())
