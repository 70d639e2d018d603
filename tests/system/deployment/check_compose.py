"""Compose: `deploy/compose.yaml` with Redis beside it, started as its first lines say, by Debian's docker-compose and podman.

No registry is asked: Debian's PostgreSQL and Redis stand in for their makers' images, under their names. Podman has here neither
systemd, whose timers run health checks, nor a name service for containers: a thread asks each, and addresses are written down.
"""

import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import yaml

from tests.support.credentials import PASSWORD
from tests.support.live import SLACK, free_port
from tests.support.pages import ROOT
from tests.support.podman import PATIENCE, ULIMITS, Engine
from tests.support.processes import soon
from tests.system.deployment.check_image import is_ready

FILES = ("compose.yaml", "compose.redis.yaml")
NET = "10.213.77"
ADDRESSES = {"database": f"{NET}.2", "redis": f"{NET}.3"}
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
POSTGRES = (
    'ENTRYPOINT ["makers-postgres"]',
    "ENV LANG=C.UTF-8",
    "ENV PATH=/usr/local/bin:/usr/lib/postgresql/15/bin:/usr/bin",
)
REDIS = ('ENTRYPOINT ["sh", "-c", "exec \\"$@\\" --protected-mode no", "redis"]',)


class Compose:
    """docker-compose in a folder that has the files of `deploy/`, and podman behind it."""

    def __init__(self, engine: Engine, folder: Path, socket: Path) -> None:
        self.port = free_port()
        self._engine = engine
        self._folder = folder
        self._environment = {"PATH": os.defpath, "DOCKER_HOST": f"unix://{socket}"}
        for name in FILES:
            text = (ROOT / "deploy" / name).read_text(encoding="utf-8")
            # Debian's does not know `name` yet, and port 8000 may be somebody's.
            text = re.sub(r"^name: .*\n", "", text, flags=re.MULTILINE).replace(
                "127.0.0.1:8000:", f"127.0.0.1:{self.port}:"
            )
            (folder / name).write_text(text, encoding="utf-8")
        (folder / "here.yaml").write_text(yaml.safe_dump(here()), encoding="utf-8")

    def __call__(self, *arguments: str) -> str:
        files = [part for name in (*FILES, "here.yaml") for part in ("--file", name)]
        return self.shell("docker-compose", "--project-name", "documented", *files, *arguments)

    def shell(self, *command: str) -> str:
        """Return what a command says that goes well."""
        done = subprocess.run(
            command,
            cwd=self._folder,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def up(self) -> str:
        """Start everything, and return the origin once it is ready. Meanwhile every container is asked for its health."""
        over = threading.Event()
        asking = threading.Thread(target=self._ask, args=(over,))
        asking.start()
        try:
            self("up", "--detach")
        finally:
            over.set()
            asking.join()
        origin = f"http://127.0.0.1:{self.port}"
        assert soon(lambda: is_ready(origin)), self("logs")
        return origin

    def _ask(self, over: threading.Event) -> None:
        while not over.wait(1):
            for name in ADDRESSES:
                self._engine("healthcheck", "run", f"documented_{name}_1", check=False)


def here() -> dict[str, object]:
    """Return what stands in for Docker: limits that podman may set, and addresses in place of names."""
    services = {
        name: {"ulimits": ULIMITS, "networks": {"back": {"ipv4_address": ADDRESSES[name]}}} for name in ADDRESSES
    }
    hosts = [f"{name}:{address}" for name, address in ADDRESSES.items()]
    return {
        "services": {**services, "api": {"ulimits": ULIMITS, "extra_hosts": hosts}},
        "networks": {"back": {"ipam": {"config": [{"subnet": f"{NET}.0/24"}]}}},
    }


@pytest.fixture(scope="module")
def compose(engine: Engine, folder: Path) -> Iterator[Compose]:
    """Compose with images of Debian's under the names of the files."""
    root, entry, deploy = folder / "stores.tar", folder / "makers-postgres", folder / "deploy"
    entry.write_text(MAKERS_POSTGRES, encoding="utf-8")
    entry.chmod(0o755)
    deploy.mkdir()
    packages = ["--include=postgresql,redis-server", f"--customize-hook=copy-in {entry} /usr/local/bin"]
    made = ["mmdebstrap", "--quiet", "--variant=minbase", *packages, "bookworm", root]
    subprocess.run(made, check=True, timeout=PATIENCE)
    for name, changes in (("postgres:18-bookworm", POSTGRES), ("redis:8-bookworm", REDIS)):
        options = [part for change in changes for part in ("--change", change)]
        engine("import", *options, root, f"docker.io/library/{name}")
    with engine.service(folder / "podman.sock") as socket:
        found = Compose(engine, deploy, socket)
        yield found
        found("down", "--volumes")
    shutil.rmtree(deploy)


def test_compose_as_documented_serves_and_keeps_what_it_has_over_a_restart(compose: Compose, engine: Engine) -> None:
    (line,) = re.findall(r"^# +(printf .* > \.env)$", (ROOT / "deploy/compose.yaml").read_text("utf-8"), re.MULTILINE)
    compose.shell("sh", "-c", f"umask 077; {line}")
    origin = compose.up()
    ada = {"email": "ada@example.com", "password": PASSWORD}
    assert requests.post(f"{origin}/api/v1/auth/register", json=ada, timeout=SLACK).status_code == 201
    bearer = signed_in(origin, ada)
    made = requests.post(f"{origin}/api/v1/me/tasks", json={"title": "Composed"}, headers=bearer, timeout=SLACK)
    assert made.status_code == 201
    assert int(engine("exec", "documented_redis_1", "redis-cli", "dbsize").stdout) > 0
    compose("down")
    assert compose.up() == origin
    again = requests.get(f"{origin}{made.headers['Location']}", headers=signed_in(origin, ada), timeout=SLACK)
    assert (again.status_code, again.json()) == (200, made.json())


def signed_in(origin: str, user: dict[str, str]) -> dict[str, str]:
    """Return the header with a token of the user."""
    tokens = requests.post(f"{origin}/api/v1/auth/token", json=user, timeout=SLACK).json()
    return {"Authorization": f"Bearer {tokens['access_token']}"}
