"""The wheel: built, installed into an environment of its own, away from the checkout, and run there.

What it depends on comes from the environment of the tests, whose versions are those of constraints.txt.
"""

import shutil
import subprocess
import sys
import sysconfig
import tempfile
import venv
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.support.live import Live, run
from tests.support.shipped import SHIPPED
from todo_api import contract

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Not pytest's, whose modes other runs of pytest reset."""
    above = Path(tempfile.mkdtemp(prefix="test-wheel-"))
    yield above
    shutil.rmtree(above)


@pytest.fixture(scope="module")
def wheel(folder: Path) -> Path:
    """Built from a copy, so that nothing is left in the checkout."""
    source = folder / "source"
    source.mkdir()
    for name in SHIPPED:
        path = ROOT / name
        if path.is_dir():
            shutil.copytree(path, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(path, source)
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, source]
    done = subprocess.run(build, cwd=folder, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    (made,) = folder.glob("*.whl")
    shutil.rmtree(source)
    return made


@pytest.fixture(scope="module")
def command(folder: Path, wheel: Path) -> Path:
    """`todo-api` as the wheel installs it."""
    home = folder / "environment"
    venv.create(home, with_pip=False, symlinks=True)
    purelib = Path(sysconfig.get_path("purelib", vars={"base": str(home), "platbase": str(home)}))
    (purelib / "dependencies.pth").write_text(str(Path(pytest.__file__).parent.parent))
    python = home / "bin" / "python"
    install = [python, "-m", "pip", "--disable-pip-version-check", "install", "--no-deps", "--no-index", wheel]
    done = subprocess.run(install, cwd=folder, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return home / "bin" / "todo-api"


def test_wheel_has_the_contracts_the_migrations_and_what_is_no_python(wheel: Path) -> None:
    names = set(ZipFile(wheel).namelist())
    assert {
        "todo_api/migrations/env.py",
        "todo_api/py.typed",
        "todo_api/accounts/common-passwords.txt",
    } <= names
    packages = [path.parent.name for path in (ROOT / "todo_api").glob("*/__init__.py")]
    for place in ("docs", "openapi", "site/static", "site/templates", "migrations/versions", *packages):
        root = ROOT / place if place.startswith(("docs", "migrations", "openapi")) else ROOT / "todo_api" / place
        expected = {
            f"todo_api/{place}/{path.name}"
            for path in root.iterdir()
            if path.is_file() and (place != "docs" or path.suffix == ".md")
        }
        assert expected <= names


def test_wheel_has_nothing_else_at_its_top(wheel: Path) -> None:
    tops = {name.split("/")[0] for name in ZipFile(wheel).namelist()}
    assert tops == {"todo_api", wheel.name.removesuffix("-py3-none-any.whl") + ".dist-info"}


def test_contract_from_the_wheel_is_that_of_the_checkout(folder: Path, command: Path) -> None:
    done = run("contract", cwd=folder, command=command)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.encode() == contract.as_yaml(contract.TASK_API)


def test_serve_from_the_wheel_keeps_tasks(folder: Path, command: Path) -> None:
    with Live(folder, command=command) as service:
        service.ready()
        bearer = run("token", "ada", cwd=folder, command=command).stdout.strip()
        reply = service.request("POST", "/api/v1/me/tasks", b'{"title": "from the wheel"}', token=bearer)
        assert (reply.status, reply.json()["title"]) == (201, "from the wheel")
        assert b"<h1" in service.request("GET", "/guide/retries").body
        assert service.end() == 0
