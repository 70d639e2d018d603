"""The walk of the README works as it is written, and the tables of the pages have what the code has."""

import argparse
import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.credentials import SECRET
from tests.support.live import COMMAND, Live
from tests.support.pages import ROOT, read, rows, section, shell
from tests.support.programs import program
from todo_api import contract
from todo_api.cli.main import _parser

ADDRESS = "http://localhost:8000"


def printed(folder: Path, url: str, commands: str) -> list[Any]:
    """The lines, each a JSON document, that the commands print against a service of their own."""
    program("curl")
    assert ADDRESS in commands
    with Live(folder, command=COMMAND, DATABASE_URL=url, JWT_SECRET=SECRET).ready() as live:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", commands.replace(ADDRESS, live.origin)],
            env={"PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            check=True,
            timeout=600,
        )
    assert done.stderr == ""
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_walk_as_written_ends_with_a_completed_task(new_database: Callable[[], str], tmp_path: Path) -> None:
    account, page, changed, refused, completed = printed(
        tmp_path, new_database(), shell(section(read("README.md"), "A walk with curl"))
    )
    assert account["email"] == "ada@example.com"
    (created,) = page["items"]
    assert (page["total"], created["title"], created["status"], created["version"]) == (1, "Buy milk", "pending", 1)
    times = {"updated_at": changed["updated_at"]}
    assert changed == created | times | {"title": "Buy oat milk", "version": 2}
    assert (refused["status"], refused["code"], refused["current"]) == (412, "precondition_failed", changed)
    times = {name: completed[name] for name in ("updated_at", "completed_at")}
    assert completed == changed | times | {"status": "completed", "completed": True, "version": 3}
    assert completed["completed_at"] is not None


def test_error_table_is_what_problems_yaml_says() -> None:
    texts = contract.problem_texts().items()
    assert rows(read("docs/errors.md")) == [[f"`{code}`", str(text.status), text.when] for code, text in texts]


def test_command_table_has_every_command() -> None:
    (commands,) = [action for action in _parser()._actions if isinstance(action, argparse._SubParsersAction)]
    assert [command.strip("`").split()[1] for command, _ in rows(read("docs/command-line.md"))] == list(
        commands.choices
    )


def test_development_table_has_every_target_of_the_makefile() -> None:
    targets = re.findall(r"^([a-z-]+):.*  ## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert [command.strip("`") for command, _ in rows(section(read("docs/contributing.md"), "Commands"))] == [
        *(f"make {target}" for target in targets),
        ".ci/run",
    ]


def test_changelog_begins_with_the_version_of_the_contract() -> None:
    version = contract.load(contract.TASK_API)["info"]["version"]
    latest = re.search(r"^## ([\d.]+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert latest is not None
    assert latest[1] == version.removesuffix("-dev")
