"""Images without a registry: Debian's packages stand in for what their makers publish, under their names."""

import subprocess
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.support.pages import ROOT
from tests.support.podman import PATIENCE, Engine

LIBRARY = "docker.io/library"
BASES = ("python:3.11-bookworm", "python:3.11-slim-bookworm")
MAKERS_POSTGRES = """#!/bin/sh
# What the makers' image does with these variables: makes the database once, then serves it.
set -eu
data=/var/lib/postgresql/data
if [ ! -s $data/PG_VERSION ]; then
    printf %s "$POSTGRES_PASSWORD" > /tmp/password
    initdb --pgdata $data --username "$POSTGRES_USER" --pwfile /tmp/password --auth-local trust --auth-host scram-sha-256
    rm /tmp/password
    echo 'host all all all scram-sha-256' >> $data/pg_hba.conf
    pg_ctl --pgdata $data --options "-c listen_addresses=''" --wait start
    createdb --username "$POSTGRES_USER" "$POSTGRES_USER"
    pg_ctl --pgdata $data --wait stop
fi
exec postgres -D $data -c 'listen_addresses=*'
"""
STORES = {
    "postgres:18-bookworm": (
        'ENTRYPOINT ["makers-postgres"]',
        "ENV LANG=C.UTF-8",
        "ENV PATH=/usr/local/bin:/usr/lib/postgresql/15/bin:/usr/bin",
    ),
    "redis:8-bookworm": ('ENTRYPOINT ["sh", "-c", "exec \\"$@\\" --protected-mode no", "redis"]',),
}


class Images(NamedTuple):
    """Images that are being made."""

    engine: Future[Engine]
    """The podman that has the image `todo-api`."""

    stores: Future[Path]
    """The tar of a root with PostgreSQL and Redis."""


@contextmanager
def being_made(folder: Path) -> Iterator[Images]:
    """Make all in threads."""
    with ThreadPoolExecutor(2) as pool:
        needed = pool.submit(wheels, folder / "wheels")
        yield Images(pool.submit(service, folder, needed), pool.submit(stores, folder))


def debian(root: Path, packages: str, *options: str) -> Path:
    """Make a root with these packages, and return its tar."""
    made = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={packages}", *options, "bookworm", root]
    subprocess.run(made, check=True, timeout=PATIENCE)
    return root


def wheels(folder: Path) -> Path:
    """Make wheels of what the service needs, and return their folder."""
    pip = [ROOT / ".venv/bin/python", "-m", "pip", "--quiet", "wheel", "--wheel-dir", folder]
    wanted = [".[otel]", "setuptools", "async-timeout"]  # the last by redis, with the Python 3.11.2 of Debian
    subprocess.run([*pip, "--constraint", "constraints.txt", *wanted], cwd=ROOT, check=True, timeout=PATIENCE)
    for ours in folder.glob("todo_api-*"):
        ours.unlink()  # the Dockerfile makes its own
    return folder


def service(folder: Path, wheels: Future[Path]) -> Engine:
    """Build `deploy/Dockerfile`, and return the podman that has the image `todo-api`."""
    engine = Engine(folder)
    root = debian(folder / "base.tar", "python3,python3-venv,ca-certificates")
    settings = ("--change", "ENV PIP_NO_INDEX=1", "--change", "ENV PIP_FIND_LINKS=/var/wheels")
    engine("import", *settings, root, f"{LIBRARY}/{BASES[0]}")
    engine("tag", BASES[0], f"{LIBRARY}/{BASES[1]}")
    engine(
        *("build", "--pull=never", "--isolation=chroot", "--format=docker"),
        *("--volume", f"{wheels.result()}:/var/wheels:ro", "--ignorefile", "deploy/Dockerfile.dockerignore"),
        *("--file", "deploy/Dockerfile", "--tag", "todo-api", "."),
    )
    return engine


def stores(folder: Path) -> Path:
    """Make a root with PostgreSQL and Redis, and return its tar."""
    entry = folder / "makers-postgres"
    entry.write_text(MAKERS_POSTGRES, encoding="utf-8")
    entry.chmod(0o755)
    return debian(folder / "stores.tar", "postgresql,redis-server", f"--customize-hook=copy-in {entry} /usr/local/bin")


def name_stores(engine: Engine, root: Path) -> None:
    """Make images of it under the names of those of PostgreSQL and Redis."""
    engine("import", root, "localhost/stores")
    empty = root.parent / "empty"
    empty.mkdir()
    for name, lines in STORES.items():
        steps = root.with_name("Containerfile")
        steps.write_text("\n".join(["FROM localhost/stores", *lines, ""]), encoding="utf-8")
        engine("build", "--pull=never", "--file", steps, "--tag", f"{LIBRARY}/{name}", empty)
