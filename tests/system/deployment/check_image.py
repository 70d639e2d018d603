"""The image: built from `deploy/Dockerfile`, and run as the examples run it, with a root that cannot be written to.

No registry is asked. Debian's own Python stands in for the base images, under their names, and podman, from Debian as well, for
the engine. So it shows that the file's steps work and that what they make runs confined; not the size of the real image.
"""

import shutil
import socket
import socketserver
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from tests.support.credentials import SECRET
from tests.support.databases import database_url, execute
from tests.support.live import free_port
from todo_api.database.connection import engine_url
from todo_api.embedded import EmbeddedServer

ROOT = Path(__file__).parents[3]
BASES = ("python:3.11-bookworm", "python:3.11-slim-bookworm")
PACKAGES = "python3,python3-venv,python3-pip,python3-dev,gcc,libc6-dev,ca-certificates"
CONFINED = ("--read-only", "--read-only-tmpfs=false", "--cap-drop=all", "--security-opt=no-new-privileges")
LIMITS = ("--ulimit=nofile=1024:1024", "--ulimit=nproc=4096:4096")  # podman's own may be more than it is itself allowed
PATIENCE = 600


class Engine:
    """podman, with its images and containers in a folder of ours."""

    def __init__(self, folder: Path) -> None:
        self._options = ("--root", folder / "store", "--runroot", folder / "run", "--cgroup-manager", "cgroupfs")

    def __call__(self, *arguments: str | Path, check: bool = True) -> "subprocess.CompletedProcess[str]":
        command = ["podman", *self._options, "--runtime", "runc", "--events-backend", "none", *arguments]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=PATIENCE)
        assert done.returncode == 0 or not check, done.stdout + done.stderr
        return done

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """What a command in a container of the image says."""
        return self("run", "--rm", "--no-healthcheck", *CONFINED, *LIMITS, "--network=host", *arguments, check=False)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Not pytest's, whose modes other runs of pytest reset."""
    above = Path(tempfile.mkdtemp(prefix="test-image-"))
    yield above
    shutil.rmtree(above, ignore_errors=True)


@pytest.fixture(scope="module")
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


@pytest.fixture(scope="module")
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


def test_image_holds_no_secret_and_none_of_what_only_builds_it(engine: Engine) -> None:
    names = engine.run("--entrypoint=sh", "todo-api", "-c", "env; ls /opt/todo-api /opt/todo-api/bin /source /wheels")
    assert "SECRET" not in names.stdout
    assert "DATABASE_URL" not in names.stdout
    assert "pip" not in names.stdout.split()
    assert "'/source': No such file" in names.stderr
    assert "'/wheels': No such file" in names.stderr


def test_image_runs_as_nobody_who_can_write(engine: Engine) -> None:
    said = engine.run(
        "--entrypoint=sh", "todo-api", "-c", "id -u; touch /tmp/x /opt/todo-api/x /var/tmp/x || true"
    ).stdout
    assert said == "10001\n"


def test_image_without_settings_says_what_is_missing_in_one_line(engine: Engine) -> None:
    done = engine.run("--env=DATABASE_URL=postgresql://127.0.0.1/none", "todo-api")
    assert (done.returncode, done.stderr) == (1, "todo-api: JWT_SECRET is missing. Make one: openssl rand -base64 48\n")


def test_image_serves_is_healthy_and_stops_when_told(engine: Engine, over_tcp: str) -> None:
    port = free_port()
    settings = {"DATABASE_URL": over_tcp, "JWT_SECRET": SECRET, "PORT": str(port), "WEB_CONCURRENCY": "2"}
    given = [f"--env={name}={value}" for name, value in settings.items()]
    engine("create", "--name=api", *CONFINED, *LIMITS, "--network=host", *given, "todo-api")
    try:
        engine("start", "api", check=False)  # its health check has a timer of systemd's, which need not be there
        origin = f"http://127.0.0.1:{port}"
        _wait_until_ready(origin, engine)
        ada = {"email": "ada@example.com", "password": "correct horse battery staple"}
        assert requests.post(f"{origin}/api/v1/auth/register", json=ada, timeout=10).status_code == 201
        token = requests.post(f"{origin}/api/v1/auth/token", json=ada, timeout=10).json()["access_token"]
        made = requests.post(
            f"{origin}/api/v1/me/tasks",
            json={"title": "from a container"},
            headers={"Authorization": f"Bearer {token}"},
            timeout=10,
        )
        assert made.status_code == 201
        assert engine("healthcheck", "run", "api").returncode == 0
        began = time.monotonic()
        engine("stop", "--time=30", "api")
        assert time.monotonic() - began < 10
        assert engine("inspect", "--format={{.State.ExitCode}}", "api").stdout == "0\n"
    finally:
        engine("rm", "--force", "--time=0", "api", check=False)


def _wait_until_ready(origin: str, engine: Engine) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with suppress(requests.ConnectionError):
            if requests.get(f"{origin}/health/ready", timeout=3).status_code == 200:
                return
        time.sleep(0.1)
    raise AssertionError(engine("logs", "api", check=False))
