"""`todo-api serve --reload`: the service starts anew when a file of its code changes, and its database stays."""

import signal
from pathlib import Path

import todo_api
from tests.support.live import Live, refusal
from tests.support.processes import own_token, postmasters, soon


def test_serve_reload_changed_code_starts_a_new_service_on_the_same_database(folder: Path) -> None:
    with Live(folder, "--reload") as service:
        service.ready()
        bearer = own_token(folder)
        assert service.request("POST", "/api/v1/me/tasks", b'{"title": "kept"}', token=bearer).status == 201
        before, database = service.workers(), postmasters(folder)
        Path(todo_api.__file__).with_name("etags.py").touch()
        assert soon(lambda: len(service.workers()) > len(before))
        service.ready()
        page = service.request("GET", "/api/v1/me/tasks", token=bearer).json()
        assert [task["title"] for task in page["items"]] == ["kept"]
        assert postmasters(folder) == database
        assert service.end(signal.SIGINT) == 0
    assert postmasters(folder) == []


def test_serve_reload_with_a_wrong_setting_is_refused(folder: Path) -> None:
    assert "PORT" in refusal("serve", "--reload", cwd=folder, PORT="none")
