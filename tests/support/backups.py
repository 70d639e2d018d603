"""Backups for tests: a server to back up, and one that a backup is put into."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.databases import execute
from tests.support.live import run
from tests.support.memory import in_memory
from todo_api.embedded import EmbeddedServer
from todo_api.embedded import backup as backups
from todo_api.provisioning import migrations


@contextmanager
def migrated_server() -> Iterator[EmbeddedServer]:
    """Start a server with a migrated database, in which each test leaves something."""
    above = Path(tempfile.mkdtemp(prefix="test-backups-", dir=in_memory()))
    server = EmbeddedServer.start(above / "postgresql")
    migrations.migrate(server.url)
    insert(server, "seed")
    yield server
    server.stop()
    shutil.rmtree(above)


def insert(server: EmbeddedServer, user_id: str) -> None:
    """A user with a task whose description does not compress."""
    execute(
        as_postgres(server),
        f"INSERT INTO users (id, seq, pending) VALUES ('{user_id}', 1, 1);"
        "INSERT INTO tasks (user_id, id, title, description, status, created_at, updated_at, version)"
        f" VALUES ('{user_id}', gen_random_uuid(), 'Kept', '{os.urandom(2000).hex()}', 'pending', now(), now(), 1)",
    )


def as_postgres(server: EmbeddedServer) -> str:
    return server.url.replace("//todo@", "//postgres@")


def backed_up(server: EmbeddedServer, file: Path) -> Path:
    backups.backup(server, file, overwrite=False, progress=lambda _: None)
    return file


def restored(folder: Path, file: Path) -> "subprocess.CompletedProcess[str]":
    """`todo-api restore` into an empty data folder."""
    done = run("restore", str(file), cwd=folder)
    assert done.returncode == 0, done
    return done


@contextmanager
def served(folder: Path) -> Iterator[EmbeddedServer]:
    server = EmbeddedServer.start(folder / "data" / "postgresql")
    try:
        yield server
    finally:
        server.stop()


def users(server: EmbeddedServer) -> set[str]:
    return {str(name) for (name,) in execute(as_postgres(server), "SELECT id FROM users")}
