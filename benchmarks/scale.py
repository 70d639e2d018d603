"""What tasks take of the disk, what a statement reads, and what the service does in a second, at growing numbers of tasks.

`python benchmarks/scale.py 100000 1000000`: fifty tasks for each user, made by SQL in a database of their own.
The tasks of a user do not lie together: every user's first is made, then every user's second, and so on.
With DATABASE_URL another PostgreSQL is used; of 50,000,000 tasks it needs 60 GB.
"""

import argparse
import os
import random
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from hashlib import md5
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg2

from closed_loop import HOME, NEW, PATCH, load, request, write
from prepare import execute, libpq, postgresql, programs, token, unwalled
from servers import running
from todo_api.provisioning.migrations import migrate

EACH = 50
"""Tasks of a user."""
FEW, MANY = 1000, 50_000
"""Users whose requests are sent, chosen at random."""
FIRST_ROUND = int(datetime(2026, 1, 1, 1, tzinfo=UTC).timestamp()) * 1000
"""Milliseconds of the time of the first task of the first user."""

OWNERS = """
INSERT INTO users (id, seq, pending, in_progress, completed)
SELECT 'user-' || lpad(n::text, 7, '0'), %(each)s, %(each)s / 3, (%(each)s + 2) / 3, (%(each)s + 1) / 3
FROM generate_series(0, %(users)s - 1) AS n
"""
# One task of each user. Ids are UUIDs of version 7 made from the row's time, as the service makes them.
ROUND = """
INSERT INTO tasks (user_id, id, title, description, status, completed_at, created_at, updated_at, version, first_version)
SELECT owner, (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || substr(hash, 1, 3) || '8'
    || substr(hash, 4, 15))::uuid, 'Task %(n)s of ' || owner, repeat('All that there is to say of it. ', 4), status,
    CASE WHEN status = 'completed' THEN at END, at, at, %(n)s, %(n)s
FROM generate_series(0, %(users)s - 1) AS u, LATERAL (SELECT 'user-' || lpad(u::text, 7, '0') AS owner,
    timestamptz '2026-01-01 00:00Z' + %(n)s * interval '1 hour' + u * interval '3 ms' AS at, md5(u || ':%(n)s') AS hash,
    (ARRAY['pending', 'in_progress', 'completed'])[1 + %(n)s %% 3] AS status) AS made
"""
CONSTRAINTS = """
SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
WHERE contype = %(kind)s AND (conrelid = 'tasks'::regclass OR confrelid = 'tasks'::regclass) AND conparentid = 0
"""
INDEXES = """
SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index
WHERE indrelid = 'tasks'::regclass AND NOT indisprimary
"""
SIZES = "SELECT count(*), pg_table_size('tasks'), pg_indexes_size('tasks') FROM tasks"
STATEMENTS = {
    "get": "SELECT * FROM tasks WHERE user_id = %(user)s AND id = %(task)s",
    "list of 50": "SELECT * FROM tasks WHERE user_id = %(user)s ORDER BY created_at DESC, id DESC LIMIT 51",
    "feed, nothing new": "SELECT * FROM tasks WHERE user_id = %(user)s AND version > 1000 ORDER BY version LIMIT 501",
    "update": "UPDATE tasks SET title = 'Changed', version = version + 1 WHERE user_id = %(user)s AND id = %(task)s",
}
A_TASK = "SELECT user_id, id::text FROM tasks WHERE user_id = 'user-0000017' ORDER BY id LIMIT 1"


def main() -> None:
    """Print two rows of docs/scaling.md for each number."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tasks", type=int, nargs="+", help="how many, once for each number")
    parser.add_argument("--seconds", type=int, default=10, help="of each operation by the service; 0: none (10)")
    parser.add_argument("--connections", type=int, default=32, help="wrk's connections (32)")
    parser.add_argument("--keep", action="store_true", help="keep the databases")
    options = parser.parse_args()
    programs()
    with tempfile.TemporaryDirectory(prefix="scale-") as name:
        os.chdir(name)
        with postgresql(Path(name) / "postgresql") as url:
            for tasks in options.tasks:
                with _database(url, options.keep) as made:
                    began = time.monotonic()
                    _fill(made, tasks // EACH)
                    print(f"{tasks:,} tasks made in {time.monotonic() - began:.0f} s", flush=True)
                    _measure_statements(made)
                    if options.seconds:
                        _measure_service(made, tasks // EACH, options)
        os.chdir("/")


@contextmanager
def _database(url: str, keep: bool) -> Iterator[str]:
    """Give the URL of a migrated database, which is dropped in the end."""
    name = f"scale_{secrets.token_hex(3)}"
    execute(url, f"CREATE DATABASE {name}")
    made = f"{libpq(url).partition('?')[0].rpartition('/')[0]}/{name}?{libpq(url).partition('?')[2]}"
    try:
        migrate(made)
        yield made
    finally:
        if keep:
            print(f"kept: {made}", flush=True)
        else:
            execute(url, f"DROP DATABASE {name} WITH (FORCE)")


def _fill(url: str, users: int) -> None:
    """Make the tasks first, and the indexes and keys after them."""
    with unwalled(url), closing(psycopg2.connect(libpq(url))) as connection:
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute("SET maintenance_work_mem = '2GB'")
        cursor.execute(OWNERS, {"users": users, "each": EACH})
        cursor.execute(CONSTRAINTS, {"kind": "f"})
        foreign = cursor.fetchall()
        cursor.execute(CONSTRAINTS, {"kind": "p"})
        primary = cursor.fetchall()
        cursor.execute(INDEXES)
        indexes = cursor.fetchall()
        for table, name, _ in (*foreign, *primary):
            cursor.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
        for name, _ in indexes:
            cursor.execute(f"DROP INDEX {name}")
        cursor.execute("ALTER TABLE tasks DISABLE TRIGGER USER, SET (autovacuum_enabled = off)")
        for number in range(1, EACH + 1):
            cursor.execute(ROUND, {"users": users, "n": number})
        cursor.execute("ALTER TABLE tasks ENABLE TRIGGER USER, RESET (autovacuum_enabled)")
        for _, definition in indexes:
            cursor.execute(definition)
        for table, name, definition in (*primary, *foreign):
            cursor.execute(f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition}")
        cursor.execute("VACUUM (ANALYZE)")


def _measure_statements(url: str) -> None:
    with unwalled(url):
        ((tasks, table, indexes),) = execute(url, SIZES)
        blocks = [_blocks(url, statement) for statement in STATEMENTS.values()]
    print(f"| tasks | users | table, bytes a task | indexes, bytes a task | {' | '.join(STATEMENTS)} |")
    told = [tasks, tasks // EACH, round(table / tasks), round(indexes / tasks), *blocks]
    print("| " + " | ".join(f"{one:,}" for one in told) + " |", flush=True)


def _blocks(url: str, statement: str) -> int:
    """Return the blocks that a statement reads or writes the second time. Nothing of it is kept."""
    ((user, task),) = execute(url, A_TASK)
    with closing(psycopg2.connect(libpq(url))) as connection:
        cursor = connection.cursor()
        for _ in range(2):
            cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", {"user": user, "task": task})
            plan: dict[str, Any] = cursor.fetchone()[0][0]["Plan"]  # type: ignore[index]
            connection.rollback()
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


def _measure_service(url: str, users: int, options: argparse.Namespace) -> None:
    """Print what two workers do of each operation: for few users, and for so many that their tasks are not in memory."""
    print("| tasks | operation | users | requests/s | p50 ms | p95 ms | p99 ms |")
    many = min(MANY, (users - FEW) // len(_REQUESTS))
    chosen = random.Random(7).sample(range(users), FEW + len(_REQUESTS) * many)
    few, rest = chosen[:FEW], chosen[FEW:]
    with running("ours", url, 2) as service:
        for place, (operation, make) in enumerate(_REQUESTS.items()):
            for asked in (few, rest[place * many : (place + 1) * many]):
                file = write(Path.cwd() / "requests", [text for user in asked for text in make(user)])
                if asked is few:
                    load(service, file, options.seconds, options.connections)  # to warm up
                done = load(service, file, options.seconds, options.connections)
                if done["refused"] + done["broken"]:
                    raise SystemExit(f"{operation}: not all were answered as they should.")
                figures = f"{done['rps']:.0f} | {done['p50']:.1f} | {done['p95']:.1f} | {done['p99']:.1f}"
                print(f"| {users * EACH:,} | {operation} | {len(asked):,} | {figures} |", flush=True)


def _bearer(user: int) -> str:
    return token(f"user-{user:07}")


def _first_task(user: int) -> str:
    """Return the address of a user's first task, as ROUND makes it."""
    hash_ = md5(f"{user}:1".encode(), usedforsecurity=False).hexdigest()
    milliseconds = FIRST_ROUND + 3 * user
    return f"{HOME}/{UUID(f'{milliseconds:012x}7{hash_[:3]}8{hash_[3:18]}')}"


_REQUESTS: dict[str, Callable[[int], list[str]]] = {
    "get": lambda user: [request("GET", _first_task(user), _bearer(user))],
    "list of 50": lambda user: [request("GET", f"{HOME}?limit=50", _bearer(user))],
    "create": lambda user: [request("POST", HOME, _bearer(user), NEW)],
    "update": lambda user: [request("PATCH", _first_task(user), _bearer(user), change) for change in (PATCH, NEW)],
}


if __name__ == "__main__":
    main()
