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


# The sixteen behaviours that the API's public test suite asks for. Its text has no licence, so these are words of our own.


def test_root_answers_a_get(root: str) -> None:
    assert ask("GET", root) == []


def test_root_gives_back_what_is_posted(root: str) -> None:
    assert ask("POST", root, {"title": "Walk the dog"})["title"] == "Walk the dog"


def test_root_answers_a_delete(root: str) -> None:
    assert ask("DELETE", root) is None


def test_root_after_a_delete_is_an_empty_list(root: str) -> None:
    for title in ("One", "Two"):
        ask("POST", root, {"title": title})
    ask("DELETE", root)
    assert ask("GET", root) == []


def test_root_lists_what_was_posted(root: str) -> None:
    ask("POST", root, {"title": "Walk the dog"})
    assert [todo["title"] for todo in ask("GET", root)] == ["Walk the dog"]


def test_new_todo_is_not_completed(root: str) -> None:
    assert ask("POST", root, {"title": "Walk the dog"})["completed"] is False
    assert [todo["completed"] for todo in ask("GET", root)] == [False]


def test_new_todo_has_a_url(root: str) -> None:
    url = ask("POST", root, {"title": "Walk the dog"})["url"]
    assert [todo["url"] for todo in ask("GET", root)] == [url]


def test_url_of_a_new_todo_returns_it(root: str) -> None:
    assert ask("GET", ask("POST", root, {"title": "Walk the dog"})["url"])["title"] == "Walk the dog"


def test_list_leads_to_each_todo(root: str) -> None:
    titles = {ask("POST", root, {"title": title})["title"] for title in ("One", "Two")}
    assert {ask("GET", todo["url"])["title"] for todo in ask("GET", root)} == titles


@pytest.mark.parametrize("change", [{"title": "Bathe the cat"}, {"completed": True}, {"order": 95}], ids=str)
def test_todo_is_changed_at_its_url(root: str, change: dict[str, Any]) -> None:
    todo = ask("POST", root, {"title": "Walk the dog", "order": 10})
    assert ask("PATCH", todo["url"], change).items() >= change.items()


def test_changes_of_a_todo_are_kept(root: str) -> None:
    url, change = ask("POST", root, {"title": "Wash the dog"})["url"], {"title": "Bathe the cat", "completed": True}
    ask("PATCH", url, change)
    assert ask("GET", url).items() >= change.items()
    (listed,) = ask("GET", root)
    assert listed.items() >= change.items()


def test_todo_is_deleted_at_its_url(root: str) -> None:
    url = ask("POST", root, {"title": "Walk the dog"})["url"]
    assert ask("DELETE", url) is None
    assert ask("GET", root) == []
    with pytest.raises(HTTPError, match="404"):
        ask("GET", url)


@pytest.mark.parametrize("order", [523, 0, -1])
def test_todo_is_created_with_an_order(root: str, order: int) -> None:
    assert ask("POST", root, {"title": "Walk the dog", "order": order})["order"] == order


def test_change_of_an_order_is_kept(root: str) -> None:
    url = ask("POST", root, {"title": "Walk the dog", "order": 10})["url"]
    ask("PATCH", url, {"order": 95})
    assert ask("GET", url)["order"] == 95
    assert [todo["order"] for todo in ask("GET", root)] == [95]


def test_pages_of_every_origin_may_call(root: str) -> None:
    request = urllib.request.Request(root, method="OPTIONS")  # noqa: S310  # our own
    with urllib.request.urlopen(request, timeout=60) as reply:  # noqa: S310  # our own
        fields = {name: reply.headers[f"Access-Control-Allow-{name}"] for name in ("Origin", "Methods", "Headers")}
    assert set(fields.values()) == {"*"}
