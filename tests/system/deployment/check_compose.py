"""Compose: `deploy/compose.yaml` with Redis beside it, and `compose.own-database.yaml`, started as their first lines say.

Debian's docker-compose and podman do so. No registry is asked: Debian's PostgreSQL and Redis stand in for their makers' images,
under their names. Podman has here neither systemd, whose timers run health checks, nor a name service for containers, nor
`host-gateway`: a thread asks each, and addresses are written down.
"""

import os
import re
import shlex
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from tests.support.credentials import PASSWORD
from tests.support.images import Images, name_stores
from tests.support.live import SLACK, free_port
from tests.support.pages import ROOT
from tests.support.podman import PATIENCE, ULIMITS, Engine
from tests.support.processes import soon
from tests.support.tcp import over_tcp
from tests.system.deployment.check_image import creates_a_task, is_ready
from todo_api.embedded import EmbeddedServer

FILES = ("compose.yaml", "compose.redis.yaml")
OWN_DATABASE = "compose.own-database.yaml"
NET = "10.213.77"
ADDRESSES = {"database": f"{NET}.2", "redis": f"{NET}.3"}
OWN_NET = "10.213.78"
GATEWAY = f"{OWN_NET}.1"


class Compose:
    """docker-compose in a folder that has files of `deploy/`, and podman behind it."""

    def __init__(
        self, engine: Engine, folder: Path, socket: Path, files: tuple[str, ...], here: dict[str, Any]
    ) -> None:
        """`here` stands in for Docker."""
        self.port = free_port()
        self._engine = engine
        self._folder = folder
        self._files = (*files, "here.yaml")
        self._environment = {"PATH": os.defpath, "DOCKER_HOST": f"unix://{socket}"}
        folder.mkdir()
        for name in files:
            text = (ROOT / "deploy" / name).read_text(encoding="utf-8")
            # Debian's does not know `name` yet, and port 8000 may be somebody's.
            text = re.sub(r"^name: .*\n", "", text, flags=re.MULTILINE).replace(
                "127.0.0.1:8000:", f"127.0.0.1:{self.port}:"
            )
            (folder / name).write_text(text, encoding="utf-8")
        (folder / "here.yaml").write_text(yaml.safe_dump(here), encoding="utf-8")

    def __call__(self, *arguments: str) -> str:
        files = [part for name in self._files for part in ("--file", name)]
        return self.shell("docker-compose", "--project-name", "documented", *files, *arguments)

    def write_env(self, url: str | None = None) -> None:
        """Write the secrets by the line of the first file, with this URL of a database in place of its example."""
        text = (self._folder / self._files[0]).read_text(encoding="utf-8")
        (line,) = re.findall(r"^# +(printf .* > \.env)$", text, re.MULTILINE)
        if url is not None:
            line, count = re.subn(r"'postgresql://\S+'", shlex.quote(url), line)
            assert count == 1
        self.shell("sh", "-c", f"umask 077; {line}")

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


def here() -> dict[str, Any]:
    """Return limits that podman may set, and addresses in place of names."""
    services = {
        name: {"ulimits": ULIMITS, "networks": {"back": {"ipv4_address": ADDRESSES[name]}}} for name in ADDRESSES
    }
    hosts = [f"{name}:{address}" for name, address in ADDRESSES.items()]
    return {
        "services": {**services, "api": {"ulimits": ULIMITS, "extra_hosts": hosts}},
        "networks": {"back": {"ipam": {"config": [{"subnet": f"{NET}.0/24"}]}}},
    }


def here_with_own_database() -> dict[str, Any]:
    """Return limits that podman may set, and the address that `host-gateway` has."""
    return {
        "services": {"api": {"ulimits": ULIMITS, "extra_hosts": [f"host.docker.internal:{GATEWAY}"]}},
        "networks": {"default": {"ipam": {"config": [{"subnet": f"{OWN_NET}.0/24", "gateway": GATEWAY}]}}},
    }


@pytest.fixture(scope="module")
def compose(engine: Engine, images: Images, image_folder: Path) -> Iterator[Compose]:
    """Compose with images of Debian's under the names of the files."""
    name_stores(engine, images.stores.result())
    with engine.service(image_folder / "podman.sock") as socket:
        found = Compose(engine, image_folder / "deploy", socket, FILES, here())
        yield found
        found("down", "--volumes")


def test_compose_as_documented_serves_and_keeps_what_it_has_over_a_restart(compose: Compose, engine: Engine) -> None:
    compose.write_env()
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


def test_compose_with_an_own_database_as_documented_serves(
    engine: Engine, image_folder: Path, server: EmbeddedServer
) -> None:
    with (
        over_tcp(server.url, "own", GATEWAY) as url,
        engine.service(image_folder / "own.sock") as socket,
    ):
        compose = Compose(engine, image_folder / "own", socket, (OWN_DATABASE,), here_with_own_database())
        compose.write_env(url.replace(GATEWAY, "host.docker.internal"))
        try:
            creates_a_task(compose.up())
        finally:
            compose("down")


def signed_in(origin: str, user: dict[str, str]) -> dict[str, str]:
    """Return the header with a token of the user."""
    tokens = requests.post(f"{origin}/api/v1/auth/token", json=user, timeout=SLACK).json()
    return {"Authorization": f"Bearer {tokens['access_token']}"}
