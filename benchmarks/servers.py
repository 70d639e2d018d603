"""The servers that are compared: how each is started, watched and ended."""

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from prepare import AUTOCOMMIT, FASTIFY, HERE, NODE, PYTHON, SECRET, before, token

TITLES = {
    "ours": "task-api (this service)",
    "async": "FastAPI + SQLModel, async psycopg 3",
    "threads": "FastAPI + SQLModel, psycopg2 in threads",
    "async_autocommit": "the async one, autocommit",
    "threads_autocommit": "the threads one, autocommit",
    "litestar": "Litestar, msgspec, asyncpg, granian",
    "fastify": "Fastify, pg, fast-jwt",
    "fastify_equipped": "Fastify, equipped",
    "floor": "floor: bare ASGI, psycopg2",
}
PATIENCE = 30  # seconds until a server must answer


class Answer(NamedTuple):
    """One reply. `headers` has lower-case names."""

    status: int
    headers: dict[str, str]
    body: Any


class Running:
    """A server that answers. `first_answer` is the seconds from its process's start to its first right answer."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, first_answer: float) -> None:
        self.port = port
        self.first_answer = first_answer
        self._process = process

    def ask(self, method: str, path: str, user: str | None, body: Any = None, **headers: str) -> Answer:
        """Sends one request, on a connection of its own."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if user is not None:
            sent["authorization"] = f"Bearer {token(user)}"
        if body is not None:
            sent["content-type"] = "application/json"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), sent)
            reply = connection.getresponse()
            content = reply.read()
            names = {name.lower(): value for name, value in reply.getheaders()}
            is_json = "json" in names.get("content-type", "")
            return Answer(reply.status, names, json.loads(content) if is_json else content.decode())
        finally:
            connection.close()

    def cpu(self) -> float:
        """Seconds of CPU that the server's processes have used, PostgreSQL's not among them."""
        times = [process.cpu_times() for process in self._tree()]
        return sum(spent.user + spent.system for spent in times)

    def memory(self) -> dict[str, list[float]]:
        """MB of each worker: resident (RSS), and with shared pages divided among those who share them (PSS)."""
        seen = [process.memory_full_info() for process in self._workers()]
        return {"rss": [info.rss / 1e6 for info in seen], "pss": [info.pss / 1e6 for info in seen]}

    def _tree(self) -> list[psutil.Process]:
        master = psutil.Process(self._process.pid)
        return [master, *master.children(recursive=True)]

    def _workers(self) -> list[psutil.Process]:
        """The processes that answer: the children, without multiprocessing's resource tracker; with one process, that one."""
        master, *children = self._tree()
        return [child for child in children if "resource_tracker" not in " ".join(child.cmdline())] or [master]


@contextmanager
def running(name: str, database: str, workers: int, floor: str = "uvicorn") -> Iterator[Running]:
    """Starts a server on a free port of loopback, waits for its first right answer, and ends it by its process id."""
    port = _free_port()
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith(("JWT_", "PYTHON"))},
        "DATABASE_URL": database,
        "JWT_SECRET": SECRET,
        "WEB_CONCURRENCY": str(workers),
        "RATE_LIMIT": "9999999/second",  # each request is counted, and the limit is never reached
        "QUEUE_LIMIT": "10000",  # nothing is turned away: the others turn nothing away either
        "BENCH_ISOLATION": "AUTOCOMMIT" if name in AUTOCOMMIT else "READ COMMITTED",
        "PYTHONPATH": {"floor": str(HERE.parent), "litestar": str(HERE)}.get(name, ""),
        "PORT": str(port),
        "EQUIPPED": "1" if name == "fastify_equipped" else "",
        "NODE_ENV": "production",
    }
    with (Path.cwd() / f"{name}.log").open("ab") as log:  # the working folder is the run's own
        began = time.monotonic()
        process = subprocess.Popen(
            _command(name, port, workers, floor), env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        server = Running(process, port, 0)
        _await(server, process, name)
        server.first_answer = time.monotonic() - began
        yield server
    except SystemExit:
        print("\n".join([f"{name} said last:", *_last_words(name)]), file=sys.stderr)
        raise
    finally:
        _end(process)


def _command(name: str, port: int, workers: int, floor: str) -> list[str | Path]:
    if name == "before":
        return [before(), "serve", "--port", str(port)]
    if name == "ours":
        return [Path(sys.executable).with_name("todo-api"), "serve", "--port", str(port)]
    if name in NODE:
        return ["node", FASTIFY / "server.js"]
    if name == "litestar":
        options = ["--interface", "asgi", "--loop", "uvloop", "--no-ws", "--log-level", "warning"]
        place = ["--port", str(port), "--workers", str(workers)]
        return [PYTHON, "-m", "granian", *place, *options, "litestar_tasks:app"]
    application = f"{'floor' if name == 'floor' else 'fastapi_' + name.removesuffix('_autocommit')}:app"
    python = sys.executable if name == "floor" else PYTHON  # the floor runs code of the service, with its libraries
    if name == "floor" and floor == "gunicorn":
        options = ["-k", "asgi", "-w", str(workers), "-b", f"127.0.0.1:{port}", "--no-control-socket"]
        return [python, "-m", "gunicorn", "--pythonpath", HERE, *options, application]
    options = ["--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"]
    place = ["--app-dir", HERE, "--port", str(port), "--workers", str(workers)]
    return [python, "-m", "uvicorn", *place, *options, application]


def _await(server: Running, process: subprocess.Popen[bytes], name: str) -> None:
    """Asks until the first page of a list comes back."""
    until = time.monotonic() + PATIENCE
    status: object = "no answer"
    while time.monotonic() < until:
        if process.poll() is not None:
            break
        try:
            status = server.ask("GET", "/api/v1/me/tasks?limit=1", "nobody").status
            if status == 200:
                return
        except OSError:
            time.sleep(0.005)
    raise SystemExit(f"{name} does not answer as it should ({status}).")


def _last_words(name: str) -> list[str]:
    return (Path.cwd() / f"{name}.log").read_text(errors="replace").splitlines()[-15:]


def _end(process: subprocess.Popen[bytes]) -> None:
    tree = [] if process.poll() is not None else psutil.Process(process.pid).children(recursive=True)
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for child in psutil.wait_procs(tree, 5)[1]:
        child.kill()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
