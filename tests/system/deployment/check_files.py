"""The examples of `deploy/`, judged by those who read them: hadolint, Compose, systemd and the schemas of Kubernetes."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

DEPLOY = Path(__file__).parents[3] / "deploy"
EXPOSURE = 20
"""The most that `systemd-analyze security` may count, of 100."""


def judged(*command: str | Path, **settings: str) -> "subprocess.CompletedProcess[str]":
    """What a tool says, which ends by itself."""
    environment = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", **settings}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)


def tool(name: str) -> Path:
    """A program that stands beside the Python of the tests."""
    return Path(sys.executable).with_name(name)


def compose(text: str, folder: Path, **secrets: str) -> "subprocess.CompletedProcess[str]":
    """What Compose says of a file. Debian's does not know `name` yet, so that goes."""
    path = folder / "compose.yaml"
    path.write_text(re.sub(r"^name: .*\n", "", text, flags=re.MULTILINE))
    return judged("docker-compose", "--file", path, "config", "--quiet", **secrets)


def unit(text: str, folder: Path) -> Path:
    """The unit with a program that is there, beside its socket."""
    path = folder / "todo-api.service"
    (folder / "todo-api.socket").write_text((DEPLOY / "todo-api.socket").read_text())
    path.write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", text, flags=re.MULTILINE))
    return path


def test_dockerfile_pleases_hadolint() -> None:
    done = judged(tool("hadolint"), DEPLOY / "Dockerfile")
    assert (done.stdout, done.returncode) == ("", 0)


def test_dockerfile_without_tags_does_not(tmp_path: Path) -> None:
    spoilt = tmp_path / "Dockerfile"
    spoilt.write_text((DEPLOY / "Dockerfile").read_text().replace("python:${PYTHON}-slim-${DEBIAN}", "python"))
    assert "DL3006" in judged(tool("hadolint"), spoilt).stdout


def test_compose_file_is_taken_by_compose(tmp_path: Path) -> None:
    done = compose((DEPLOY / "compose.yaml").read_text(), tmp_path, POSTGRES_PASSWORD="a", JWT_SECRET="b")
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


def test_compose_file_with_redis_beside_it_is_taken_by_compose(tmp_path: Path) -> None:
    path = tmp_path / "compose.yaml"
    path.write_text(re.sub(r"^name: .*\n", "", (DEPLOY / "compose.yaml").read_text(), flags=re.MULTILINE))
    secrets = {"POSTGRES_PASSWORD": "a", "JWT_SECRET": "b"}
    done = judged("docker-compose", "--file", path, "--file", DEPLOY / "compose.redis.yaml", "config", **secrets)
    assert (done.stderr, done.returncode) == ("", 0)
    assert "RATE_LIMIT_STORAGE_URL: redis://redis:6379/0" in done.stdout
    assert "DATABASE_URL: postgresql://tasks:a@database/tasks" in done.stdout


def test_compose_file_with_an_own_database_is_taken_by_compose(tmp_path: Path) -> None:
    text = (DEPLOY / "compose.own-database.yaml").read_text()
    done = compose(text, tmp_path, DATABASE_URL="postgresql://tasks@host.docker.internal/tasks", JWT_SECRET="b")
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)
    assert "is missing in .env" in compose(text, tmp_path, JWT_SECRET="b").stderr


@pytest.mark.parametrize("missing", ["POSTGRES_PASSWORD", "JWT_SECRET"])
def test_compose_file_without_a_secret_is_refused(missing: str, tmp_path: Path) -> None:
    secrets = {"POSTGRES_PASSWORD": "a", "JWT_SECRET": "b"}
    del secrets[missing]
    done = compose((DEPLOY / "compose.yaml").read_text(), tmp_path, **secrets)
    assert done.returncode != 0
    assert "is missing in .env" in done.stderr


def test_compose_file_with_an_unknown_key_is_refused(tmp_path: Path) -> None:
    spoilt = (DEPLOY / "compose.yaml").read_text().replace("read_only:", "readonly:")
    assert compose(spoilt, tmp_path, POSTGRES_PASSWORD="a", JWT_SECRET="b").returncode != 0


def test_unit_is_verified_by_systemd(tmp_path: Path) -> None:
    done = judged("systemd-analyze", "verify", "--man=no", unit((DEPLOY / "todo-api.service").read_text(), tmp_path))
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


def test_socket_unit_is_verified_by_systemd(tmp_path: Path) -> None:
    path = unit((DEPLOY / "todo-api.service").read_text(), tmp_path).with_suffix(".socket")
    done = judged("systemd-analyze", "verify", "--man=no", path)
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


def test_unit_without_its_socket_is_not(tmp_path: Path) -> None:
    path = unit((DEPLOY / "todo-api.service").read_text(), tmp_path)
    path.with_suffix(".socket").unlink()
    done = judged("systemd-analyze", "verify", "--man=no", path)
    assert "todo-api.socket" in done.stderr
    assert done.returncode != 0


def test_unit_with_an_unknown_setting_is_not(tmp_path: Path) -> None:
    spoilt = (DEPLOY / "todo-api.service").read_text().replace("TimeoutStopSec", "TimeoutStopSeconds")
    done = judged("systemd-analyze", "verify", "--man=no", unit(spoilt, tmp_path))
    assert "Unknown key 'TimeoutStopSeconds'" in done.stderr


def test_unit_leaves_little_exposed(tmp_path: Path) -> None:
    path = unit((DEPLOY / "todo-api.service").read_text(), tmp_path)
    done = judged("systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE}", path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_kubernetes_takes_every_object() -> None:
    done = judged(tool("kubernetes-validate"), "--strict", DEPLOY / "kubernetes.yaml")
    kinds = re.findall(r"passed for resource (\w+)/", done.stdout + done.stderr)
    assert (kinds, done.returncode) == (["deployment", "service", "poddisruptionbudget"], 0)


def test_kubernetes_refuses_an_unknown_field(tmp_path: Path) -> None:
    spoilt = tmp_path / "kubernetes.yaml"
    spoilt.write_text((DEPLOY / "kubernetes.yaml").read_text().replace("maxSurge", "maxsurge"))
    assert judged(tool("kubernetes-validate"), "--strict", spoilt).returncode != 0
