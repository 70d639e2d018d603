"""What must be there before anything is measured: programs, PostgreSQL, databases and the same rows in each."""

import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import psycopg2
import psycopg2.errors

from todo_api.auth.tokens import TokenIssuer
from todo_api.database.connection import engine_url
from todo_api.embedded import EmbeddedServer
from todo_api.provisioning.migrations import migrate

HERE = Path(__file__).parent
VENV = HERE.parent / "build" / "bench-venv"
PYTHON = VENV / "bin" / "python"
BEFORE = "BENCH_BEFORE"
"""The variable that names the working tree of the other revision."""

SECRET = secrets.token_urlsafe(48)
LIFETIME = 86400
USUAL = ("async", "threads")
AUTOCOMMIT = ("async_autocommit", "threads_autocommit")
COMPETITORS = USUAL + AUTOCOMMIT
"""The FastAPI servers: with sessions as they are by default, and with autocommit."""
NODE = ("fastify", "fastify_equipped")
FURTHER = ("litestar", *NODE)
"""The other competitors, in autocommit as their drivers are by default. The databases of all of them are made by SQLModel."""
FASTIFY = HERE.parent / "build" / "bench-fastify"
OLDEST_NODE = 20

KEPT = ("history", "tombstones", "trash")
"""Tables that grow with what is changed and deleted."""
WALLED = f"""
SELECT oid::regclass::text FROM pg_class WHERE relforcerowsecurity AND relname IN {("users", "tasks", *KEPT)}
"""
"""Tables with row-level security: those of the service, and fewer in an earlier revision."""

# Ids are UUIDs of version 7 made from the row's time, as the service makes them; times are a minute apart.
ROWS = """
INSERT INTO tasks (user_id, id, title, description, status, completed_at, created_at, updated_at, version)
SELECT owner, (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || substr(hash, 1, 3) || '8'
    || substr(hash, 4, 15))::uuid, 'Task ' || n || ' of ' || owner, repeat('All that there is to say of it. ', 4), status,
    CASE WHEN status = 'completed' THEN at END, at, at, n
FROM unnest(%(names)s::text[], %(counts)s::int[]) AS wanted(owner, count), generate_series(1, count) AS n,
    LATERAL (SELECT timestamptz '2026-01-01 00:00Z' + n * interval '1 minute' AS at, md5(owner || ':' || n) AS hash,
        (ARRAY['pending', 'in_progress', 'completed'])[1 + n %% 3] AS status) AS made
"""
OWNERS = """
INSERT INTO users (id, seq, pending, in_progress, completed)
SELECT owner, count, count / 3, (count + 2) / 3, (count + 1) / 3
FROM unnest(%(names)s::text[], %(counts)s::int[]) AS wanted(owner, count)
"""
SAMPLE = "SELECT user_id, id::text FROM tasks WHERE user_id LIKE 'reader-%%' ORDER BY md5(id::text) LIMIT %(count)s"
FORGET_MAKERS = "DELETE FROM tasks WHERE user_id LIKE 'maker-%'"
FORGET_MAKERS_COUNTS = "UPDATE users SET pending = 0 WHERE id LIKE 'maker-%'"


class Databases(NamedTuple):
    """One database for each server, with the same tasks. `sample` are tasks of readers, as (user, task id)."""

    urls: dict[str, str]
    sample: list[tuple[str, str]]


def token(user: str) -> str:
    """A token of the service's own issuer, good for a day."""
    return TokenIssuer(secret=SECRET, issuer="task-api", audience="task-api", lifetime=LIFETIME).issue(user)


def programs() -> None:
    """Installs what is missing: wrk by apt, and the competitors' packages in a virtual environment of their own."""
    if shutil.which("wrk") is None and not _installed("wrk"):
        raise SystemExit("wrk is missing, the load generator. Install it: sudo apt-get install wrk")
    wanted = (HERE / "requirements.txt").read_text()
    mark = VENV / "requirements.txt"
    if not mark.is_file() or mark.read_text() != wanted:
        print(f"installing the competitors in {VENV.relative_to(HERE.parent)}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", VENV], check=True)
        install = [PYTHON, "-m", "pip", "install", "-qq", "--no-deps", "-r", HERE / "requirements.txt"]
        subprocess.run(install, check=True)
        mark.write_text(wanted)


def node() -> bool:
    """Whether the Fastify servers can run: installs Node by apt where it may, and their packages."""
    if (shutil.which("node") is None or shutil.which("npm") is None) and not _installed("nodejs", "npm"):
        return False
    told = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout
    if int(told.removeprefix("v").partition(".")[0]) < OLDEST_NODE:
        return False
    lock = (HERE / "fastify" / "package-lock.json").read_text()
    mark = FASTIFY / "installed.json"
    shutil.copytree(HERE / "fastify", FASTIFY, dirs_exist_ok=True)
    if not mark.is_file() or mark.read_text() != lock:
        print(f"installing Fastify in {FASTIFY.relative_to(HERE.parent)}", flush=True)
        subprocess.run(["npm", "ci", "--loglevel=error"], cwd=FASTIFY, check=True)
        mark.write_text(lock)
    return True


def _installed(*packages: str) -> bool:
    """Installs Debian's packages; False where it may not."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return False
    subprocess.run(["apt-get", "update", "-q"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["apt-get", "install", "-y", "-q", *packages], check=True, stdout=subprocess.DEVNULL)
    return True


@contextmanager
def postgresql(folder: Path) -> Iterator[str]:
    """The URL of the PostgreSQL that all servers use: DATABASE_URL, else an embedded one in `folder`."""
    given = os.environ.get("DATABASE_URL")
    if given:
        yield given
        return
    server = EmbeddedServer.start(folder)
    try:
        yield server.url
    finally:
        server.stop()


@contextmanager
def databases(url: str, names: list[str], owners: dict[str, int], sample: int = 2000) -> Iterator[Databases]:
    """A database for each of the servers with `owners`' tasks in it. Dropped again afterwards."""
    run = secrets.token_hex(3)
    made: dict[str, str] = {}
    try:
        for name in names:
            made[name] = _database(url, f"bench_{run}_{name}")
            print(f"loading {sum(owners.values())} tasks for {name}", flush=True)
            _tables(name, made[name])
            with unwalled(made[name]):
                for statement in (ROWS,) if name in COMPETITORS + FURTHER else (OWNERS, ROWS):
                    execute(made[name], statement, names=list(owners), counts=list(owners.values()))
            execute(made[name], "VACUUM (ANALYZE, FREEZE)")
        with unwalled(made[names[0]]):
            sampled = execute(made[names[0]], SAMPLE, count=sample)
        yield Databases(made, [(owner, task) for owner, task in sampled])
    finally:
        for name in made:
            execute(url, f"DROP DATABASE bench_{run}_{name} WITH (FORCE)")


def tidy(url: str) -> None:
    """Puts a database back to where every turn starts: without what was created, vacuumed, and checkpointed if we may."""
    with unwalled(url) as walled:
        execute(url, FORGET_MAKERS)
        if walled:
            execute(url, FORGET_MAKERS_COUNTS)
        for table in walled & {*KEPT}:
            execute(url, f"DELETE FROM {table}")
    execute(url, "VACUUM (ANALYZE) tasks")
    if walled:
        execute(url, "VACUUM (ANALYZE) users")
    # The embedded server's role may not; checkpoints then come when PostgreSQL wants them, for all alike.
    with suppress(psycopg2.errors.InsufficientPrivilege):
        execute(url, "CHECKPOINT")


def execute(url: str, statement: str, **values: Any) -> list[tuple[Any, ...]]:
    """Runs a statement as the owner of the database, in autocommit."""
    with closing(psycopg2.connect(libpq(url))) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []


def libpq(url: str) -> str:
    """The URL as libpq wants it."""
    return engine_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def _database(url: str, name: str) -> str:
    execute(url, f"CREATE DATABASE {name}")
    return libpq(engine_url(url).set(database=name).render_as_string(hide_password=False))


def _tables(name: str, url: str) -> None:
    if name in COMPETITORS + FURTHER:
        subprocess.run([PYTHON, HERE / "fastapi_tasks.py", url], check=True)
    elif name == "before":
        environment = {**os.environ, "DATABASE_URL": url, "JWT_SECRET": SECRET}
        subprocess.run([before(), "migrate"], env=environment, check=True, stderr=subprocess.DEVNULL)
    else:
        migrate(url)


def before() -> Path:
    """The program of the other revision, for benchmarks/beside.py."""
    return Path(os.environ[BEFORE]) / ".venv" / "bin" / "todo-api"


@contextmanager
def unwalled(url: str) -> Iterator[set[str]]:
    """Lets the owner of the tables past the service's row-level security for a while. Which tables have it."""
    walled = {table for (table,) in execute(url, WALLED)}
    for table in walled:
        execute(url, f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
    try:
        yield walled
    finally:
        for table in walled:
            execute(url, f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
