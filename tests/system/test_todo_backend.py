"""examples/todo_backend.py: a front end of Todo-Backend finds what that API promises."""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError

import pytest

from tests.support.credentials import SECRET, token
from tests.support.live import Live, environment, free_port
from tests.support.pages import ROOT
from tests.support.processes import soon

EXAMPLE = ROOT / "examples" / "todo_backend.py"
LINES = 50


def ask(method: str, url: str, body: Any = None) -> Any:
    """The JSON of a reply, None without a body. Raises HTTPError for an error."""
    content = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, content, method=method), timeout=60) as reply:  # noqa: S310  # our own
        return json.loads(reply.read() or "null")


@pytest.fixture(scope="module")
def root(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the example, for a new user of a running service."""
    folder = tmp_path_factory.mktemp("todo")
    with Live(folder, DATABASE_URL=url, JWT_SECRET=SECRET) as service:
        body = b'{"name": "todo", "scopes": ["tasks:read", "tasks:write"]}'
        made = service.ready().request("POST", "/api/v1/me/keys", body, token=token("todo"))
        yield from running(folder, service.origin, made.json()["key"])


def running(folder: Path, service: str, key: str) -> Iterator[str]:
    port = free_port()
    example = subprocess.Popen(
        [sys.executable, EXAMPLE, service, str(port)],
        env=environment(folder, TASK_API_KEY=key),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    root = f"http://127.0.0.1:{port}/"

    def answers() -> bool:
        with suppress(URLError):
            return ask("GET", root) == []
        return False

    try:
        assert soon(answers)
        yield root
    finally:
        example.terminate()
        example.wait(60)


@pytest.fixture(autouse=True)
def empty(root: str) -> None:
    ask("DELETE", root)


def test_example_is_short_enough_to_read() -> None:
    assert len(EXAMPLE.read_text(encoding="utf-8").splitlines()) <= LINES


def test_root_gives_back_what_is_posted_with_its_url_and_lists_it(root: str) -> None:
    todo = ask("POST", root, {"title": "Walk the dog"})
    assert (todo["title"], todo["completed"]) == ("Walk the dog", False)
    assert ask("GET", todo["url"])["title"] == "Walk the dog"
    assert [each["url"] for each in ask("GET", root)] == [todo["url"]]


def test_todo_is_changed_completed_and_deleted_at_its_url(root: str) -> None:
    url = ask("POST", root, {"title": "Wash the dog"})["url"]
    changed = ask("PATCH", url, {"title": "Bathe the cat", "completed": True})
    assert (changed["title"], changed["completed"], changed["url"]) == ("Bathe the cat", True, url)
    assert ask("GET", url)["completed"] is True
    assert ask("DELETE", url) is None
    with pytest.raises(HTTPError, match="404"):
        ask("GET", url)


def test_root_deletes_every_todo(root: str) -> None:
    for title in ("One", "Two"):
        ask("POST", root, {"title": title})
    ask("DELETE", root)
    assert ask("GET", root) == []


def test_pages_of_every_origin_may_call(root: str) -> None:
    request = urllib.request.Request(root, method="OPTIONS")  # noqa: S310  # our own
    with urllib.request.urlopen(request, timeout=60) as reply:  # noqa: S310  # our own
        fields = {name: reply.headers[f"Access-Control-Allow-{name}"] for name in ("Origin", "Methods", "Headers")}
    assert set(fields.values()) == {"*"}
