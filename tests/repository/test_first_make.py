"""What `make serve` says in a fresh clone, step by step, and where it cannot go on: one line with the way out."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

PYTHON = """#!/bin/sh
case "$*" in
"-c "*) exit {old} ;;
"--version") echo "Python 3.12.1" ;;
"-m venv --clear .venv")
    [ {venv} = 0 ] || {{ echo "ensurepip is not available." >&2; exit 1; }}
    mkdir -p .venv/bin && cp "$0" .venv/bin/python && cp "$0" .venv/bin/todo-api ;;
"-m pip --version") ;;
"-m pip "*install*) [ {pip} = 0 ] || {{ echo "ERROR: no route to host" >&2; exit 1; }} ;;
"serve"*) echo "Serving." >&2 ;;
*) echo "unexpected: $*" >&2; exit 64 ;;
esac
"""
"""A Python that can be too old, without venv, or without a network. What follows an install is not what is tested."""


def make_serve(folder: Path, python: str, **states: int) -> "subprocess.CompletedProcess[str]":
    """`make serve` in a clone, with that Python first in the path."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, folder)
    program = folder / "bin" / "python3"
    program.parent.mkdir()
    program.write_text(PYTHON.format(**{"old": 0, "venv": 0, "pip": 0} | states))
    program.chmod(0o755)
    return subprocess.run(
        ["make", "serve", f"PYTHON={python}"],
        cwd=folder,
        env={"PATH": f"{program.parent}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def lines(done: "subprocess.CompletedProcess[str]") -> list[str]:
    """What was said, but for make's own `*** Error`."""
    assert done.stdout == ""
    return [line for line in done.stderr.splitlines() if not line.startswith("make")]


def test_make_serve_in_a_fresh_clone_says_each_step_and_the_second_time_none(tmp_path: Path) -> None:
    done = make_serve(tmp_path, "python3")
    assert (done.returncode, lines(done)) == (
        0,
        [
            "Making .venv with Python 3.12.1.",
            "Installing the service into .venv: once, and about a minute.",
            "Installed. Starting.",
            "Serving.",
        ],
    )
    again = subprocess.run(
        ["make", "serve"],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert lines(again) == ["Serving."]


@pytest.mark.parametrize(
    ("python", "states", "last"),
    [
        ("python3", {"old": 1}, "python3 is missing or older than Python 3.11. Name a newer one: make serve PYTHON="),
        ("nosuch", {}, "nosuch is missing or older than Python 3.11. Name a newer one: make serve PYTHON="),
        (
            "python3",
            {"venv": 1},
            "python3 could not make .venv: its last lines say why. Debian and Ubuntu have venv in",
        ),
        ("python3", {"pip": 1}, "pip could not install the packages: its last lines say why. Without internet, set"),
    ],
)
def test_make_serve_that_cannot_install_ends_with_the_way_out(
    tmp_path: Path, python: str, states: dict[str, int], last: str
) -> None:
    done = make_serve(tmp_path, python, **states)
    assert done.returncode == 2
    assert lines(done)[-1].startswith(last)
    again = subprocess.run(
        ["make", "serve", f"PYTHON={python}"],
        cwd=tmp_path,
        env={"PATH": f"{tmp_path}/bin:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert lines(again)[-1] == lines(done)[-1]  # nothing half-made passes for an installation
