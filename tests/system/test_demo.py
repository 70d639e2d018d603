"""`todo-api demo` with the embedded database: as the first command of all, and beside a running service."""

import re
from pathlib import Path

from tests.support.live import Live, run


def key_of(folder: Path, *arguments: str) -> str:
    """Runs `todo-api demo` and returns the API key that it prints."""
    done = run("demo", *arguments, cwd=folder)
    assert done.returncode == 0, done
    found = re.search(r"API key +(\S+)\n", done.stdout)
    assert found is not None
    return found[1]


def test_demo_before_the_first_start_and_beside_the_service_prints_keys_that_work(folder: Path) -> None:
    keys = [key_of(folder)]
    with Live(folder) as service:
        service.ready()
        keys.append(key_of(folder, "--email", "second@example.com"))
        for key in keys:
            listed = service.request("GET", "/api/v1/me/tasks", token=key)
            assert (listed.status, listed.json()["total"]) == (200, 40)
