"""The image of `deploy/Dockerfile`, built once, and a database that its containers reach."""

import shutil
import socket
import socketserver
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.support.databases import database_url, execute
from tests.support.pages import ROOT
from tests.support.podman import PATIENCE, Engine
from todo_api.database.connection import engine_url
from todo_api.embedded import EmbeddedServer

BASES = ("python:3.11-bookworm", "python:3.11-slim-bookworm")
PACKAGES = "python3,python3-venv,python3-pip,python3-dev,gcc,libc6-dev,ca-certificates"


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """Not pytest's, whose modes other runs of pytest reset."""
    above = Path(tempfile.mkdtemp(prefix="test-image-"))
    yield above
    shutil.rmtree(above, ignore_errors=True)


@pytest.fixture(scope="session")
def engine(folder: Path) -> Engine:
    """Podman with the image `todo-api`."""
    root, wheels, found = folder / "base.tar", folder / "wheels", Engine(folder)
    subprocess.run(
        ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={PACKAGES}", "bookworm", root],
        check=True,
        timeout=PATIENCE,
    )
    pip = [ROOT / ".venv/bin/python", "-m", "pip", "--quiet", "wheel", "--wheel-dir", wheels]
    wanted = [".[otel]", "setuptools", "async-timeout"]  # the last by redis, with the Python 3.11.2 of Debian
    subprocess.run([*pip, "--constraint", "constraints.txt", *wanted], cwd=ROOT, check=True, timeout=PATIENCE)
    for ours in wheels.glob("todo_api-*"):
        ours.unlink()  # the Dockerfile makes its own
    settings = ("--change", "ENV PIP_NO_INDEX=1", "--change", "ENV PIP_FIND_LINKS=/var/wheels")
    found("import", *settings, root, f"docker.io/library/{BASES[0]}")
    found("tag", BASES[0], f"docker.io/library/{BASES[1]}")
    found(
        *("build", "--pull=never", "--isolation=chroot", "--format=docker", "--volume", f"{wheels}:/var/wheels:ro"),
        *("--ignorefile", "deploy/Dockerfile.dockerignore", "--file", "deploy/Dockerfile", "--tag", "todo-api", "."),
    )
    return found


@pytest.fixture(scope="session")
def over_tcp(server: EmbeddedServer) -> Iterator[str]:
    """The URL, over TCP, of an empty database of the run's PostgreSQL, which itself listens on a socket alone."""
    execute(server.url, "CREATE DATABASE image")
    url = database_url(server.url, "image")
    place = parse_qs(urlsplit(url).query)["host"][0]
    with Forward(f"{place}/.s.PGSQL.5432") as forward:
        threading.Thread(target=forward.serve_forever, args=(0.05,)).start()
        over = engine_url(url).set(drivername="postgresql", host="127.0.0.1", port=forward.server_address[1], query={})
        yield over.render_as_string(hide_password=False)
        forward.shutdown()


class Forwarding(socketserver.BaseRequestHandler):
    """One connection, on to a socket of the file system."""

    def handle(self) -> None:
        """Pours both ways until both have ended."""
        with socket.socket(socket.AF_UNIX) as beyond:
            beyond.connect(self.server.path)
            there = threading.Thread(target=_pour, args=(self.request, beyond))
            there.start()
            _pour(beyond, self.request)
            there.join()


class Forward(socketserver.ThreadingTCPServer):
    """Whatever reaches a port of the loopback, on to a socket of the file system."""

    def __init__(self, path: str) -> None:
        super().__init__(("127.0.0.1", 0), Forwarding)
        self.path = path


def _pour(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while content := source.recv(65536):
            target.sendall(content)
        target.shutdown(socket.SHUT_WR)
