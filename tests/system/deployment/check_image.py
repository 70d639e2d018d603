"""The image: built from `deploy/Dockerfile`, and run as the examples run it, with a root that cannot be written to.

No registry is asked. Debian's own Python stands in for the base images, under their names, and podman, from Debian as well, for
the engine. So it shows that the file's steps work and that what they make runs confined; not the size of the real image.
"""

import re
import shlex
import subprocess
import time
from pathlib import Path
from uuid import uuid4

import pytest
import requests

from tests.support.credentials import PASSWORD, SECRET
from tests.support.live import SLACK, free_port
from tests.support.pages import read, section
from tests.support.podman import CONFINED, LIMITS, PATIENCE, Engine
from tests.support.processes import soon

DOCKER = """#!/bin/sh
# Docker's name for Podman. Health checks have a timer of systemd's, which need not be there.
command=$1
shift
exec {podman} $command --detach --name documented --no-healthcheck --read-only-tmpfs=false --network host {limits} --env PORT "$@"
"""


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


def test_image_serves_is_healthy_and_stops_when_told(engine: Engine, image_database: str) -> None:
    port = free_port()
    settings = {"DATABASE_URL": image_database, "JWT_SECRET": SECRET, "PORT": str(port), "WEB_CONCURRENCY": "2"}
    given = [f"--env={name}={value}" for name, value in settings.items()]
    engine("create", "--name=api", *CONFINED, *LIMITS, "--network=host", *given, "todo-api")
    try:
        engine("start", "api", check=False)  # its health check has a timer of systemd's, which need not be there
        creates_a_task(f"http://127.0.0.1:{port}")
        assert engine("healthcheck", "run", "api").returncode == 0
        began = time.monotonic()
        engine("stop", "--time=30", "api")
        assert time.monotonic() - began < 10
        assert engine("inspect", "--format={{.State.ExitCode}}", "api").stdout == "0\n"
    finally:
        engine("rm", "--force", "--time=0", "api", check=False)


LINES = re.findall(r"^    docker (run .*)$", section(read("docs/deployment.md"), "An image"), re.MULTILINE)


@pytest.mark.parametrize("line", LINES, ids=["in one line", "confined"])
def test_documented_line_runs_the_image(engine: Engine, image_database: str, tmp_path: Path, line: str) -> None:
    docker = tmp_path / "docker"
    docker.write_text(DOCKER.format(podman=shlex.join(engine.command), limits=" ".join(LIMITS)), encoding="utf-8")
    docker.chmod(0o755)
    port = free_port()
    settings = {"DATABASE_URL": image_database, "JWT_SECRET": SECRET}
    (tmp_path / "settings.env").write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    known = {} if "--env-file" in line else settings
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin:/usr/sbin:/sbin", "PORT": str(port), **known}
    try:
        done = subprocess.run(
            ["sh", "-c", f"docker {line}"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, done.stderr
        creates_a_task(f"http://127.0.0.1:{port}")
    finally:
        engine("rm", "--force", "--time=0", "documented", check=False)


def creates_a_task(origin: str) -> None:
    """Wait until the service is ready, register, sign in and create a task."""
    assert soon(lambda: is_ready(origin))
    user = {"email": f"{uuid4().hex}@example.com", "password": PASSWORD}
    assert requests.post(f"{origin}/api/v1/auth/register", json=user, timeout=SLACK).status_code == 201
    token = requests.post(f"{origin}/api/v1/auth/token", json=user, timeout=SLACK).json()["access_token"]
    made = requests.post(
        f"{origin}/api/v1/me/tasks",
        json={"title": "from a container"},
        headers={"Authorization": f"Bearer {token}"},
        timeout=SLACK,
    )
    assert made.status_code == 201


def is_ready(origin: str) -> bool:
    """Return whether the service answers that it is ready."""
    try:
        return requests.get(f"{origin}/health/ready", timeout=SLACK).status_code == 200
    except requests.ConnectionError:
        return False
