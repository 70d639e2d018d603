"""The README, `.env.example` and the Makefile say what the code does. The walk with curl is run from the README's own text."""

import argparse
import json
import os
import re
import subprocess
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

from tests.support.credentials import SECRET
from tests.support.live import Live
from todo_api import contract
from todo_api.cli.main import _parser
from todo_api.config import Config

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
ADDRESS = "http://localhost:8000"


def section(title: str) -> str:
    """What stands under a heading, up to the next one of any level."""
    found = re.search(
        rf"^#+ {re.escape(title)}\n(.*?)(?=^#+ |\Z)", _without_code_headings(README), re.MULTILINE | re.DOTALL
    )
    assert found is not None, title
    return found[1].replace("\0", "#")


def _without_code_headings(text: str) -> str:
    """The text, with the comments of shell blocks told apart from headings."""
    return re.sub(r"^```.*?^```", lambda block: block[0].replace("#", "\0"), text, flags=re.MULTILINE | re.DOTALL)


def rows(title: str) -> list[list[str]]:
    """The cells of the table under a heading, without its head."""
    lines = [line for line in section(title).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def names(title: str) -> list[str]:
    return [cells[0].strip("`") for cells in rows(title)]


def shell_of(title: str) -> str:
    """The shell commands under a heading."""
    (commands,) = re.findall(r"^```bash\n(.*?)^```", section(title), re.MULTILINE | re.DOTALL)
    return str(commands)


def printed(folder: Path, url: str, commands: str) -> list[Any]:
    """The lines, each a JSON document, that the commands print against a service of their own."""
    assert ADDRESS in commands
    with Live(folder, DATABASE_URL=url, JWT_SECRET=SECRET).ready() as live:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", commands.replace(ADDRESS, live.origin)],
            env={"PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        )
    assert done.stderr == ""
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_walk_as_written_ends_with_a_completed_task(new_database: Callable[[], str], tmp_path: Path) -> None:
    account, page, changed, refused, completed = printed(tmp_path, new_database(), shell_of("A walk with curl"))
    assert account["email"] == "ada@example.com"
    (created,) = page["items"]
    assert (page["total"], created["title"], created["status"], created["version"]) == (1, "Buy milk", "pending", 1)
    times = {"updated_at": changed["updated_at"]}
    assert changed == created | times | {"title": "Buy oat milk", "version": 2}
    assert (refused["status"], refused["code"], refused["current"]) == (412, "precondition_failed", changed)
    times = {name: completed[name] for name in ("updated_at", "completed_at")}
    assert completed == changed | times | {"status": "completed", "completed": True, "version": 3}
    assert completed["completed_at"] is not None


def test_api_keys_as_written_after_the_walk_read_its_task(new_database: Callable[[], str], tmp_path: Path) -> None:
    commands = shell_of("A walk with curl") + shell_of("API keys")
    *_, completed, page = printed(tmp_path, new_database(), commands)
    assert page["items"] == [completed]


def test_settings_table_has_every_setting_with_its_default() -> None:
    def written(default: object) -> str:
        return "none" if default in (None, "", ()) else f"`{default}`"

    table = [(name, default) for name, default, _ in rows("Configuration")]
    assert table == [(f"`{field.name.upper()}`", written(field.default)) for field in fields(Config)]


def test_env_example_has_every_setting_with_one_line_about_it() -> None:
    entries = re.findall(
        r"^# (\S.*)\n#([A-Z_]+)=.*$", (ROOT / ".env.example").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert [name for _, name in entries] == [field.name.upper() for field in fields(Config)]


def test_error_table_is_what_problems_yaml_says() -> None:
    texts = contract.problem_texts().items()
    assert rows("Errors") == [[f"`{code}`", str(text.status), text.when] for code, text in texts]


def test_command_table_has_every_command() -> None:
    (commands,) = [action for action in _parser()._actions if isinstance(action, argparse._SubParsersAction)]
    assert [name.split()[1] for name in names("Command line")] == list(commands.choices)


def test_development_table_has_every_target_of_the_makefile() -> None:
    targets = re.findall(r"^([a-z-]+):.*  ## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert names("Working on it") == [*(f"make {target}" for target in targets), ".ci/run"]


def test_links_lead_to_files_that_exist() -> None:
    links = [target for target in re.findall(r"\]\(([^)]+)\)", README) if "://" not in target]
    assert [target for target in links if not (ROOT / target).exists()] == []


def test_changelog_begins_with_the_version_of_the_contract() -> None:
    version = contract.load(contract.TASK_API)["info"]["version"]
    latest = re.search(r"^## ([\d.]+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert latest is not None
    assert latest[1] == version.removesuffix("-dev")
