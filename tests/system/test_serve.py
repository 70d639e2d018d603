"""`todo-api serve` from start to stop, with the embedded database and with one's own."""

import os
import pwd
import shutil
import signal
import sys
import time
from pathlib import Path
from urllib.parse import quote

import psutil
import pytest
from sqlalchemy.engine import make_url

from tests.support.credentials import SECRET, token
from tests.support.live import COMMAND, Live, run
from tests.support.processes import gone, own_token, postmasters, soon
from todo_api.embedded import EmbeddedServer
from todo_api.embedded.os_user import SYSTEM_USER

TASKS = "/api/v1/me/tasks"


def titles(service: Live, bearer: str) -> list[str]:
    return [task["title"] for task in service.request("GET", TASKS, token=bearer).json()["items"]]


def test_serve_embedded_again_is_ready_soon_with_its_data(folder: Path) -> None:
    with Live(folder, command=COMMAND) as service:
        service.ready()
        bearer = own_token(folder)
        assert service.request("POST", TASKS, b'{"title": "kept"}', token=bearer).status == 201
        assert service.end() == 0
    assert postmasters(folder) == []
    with Live(folder, command=COMMAND) as service:
        service.ready()
        assert time.monotonic() - service.began < 20  # five on a quiet machine
        assert titles(service, bearer) == ["kept"]


def test_serve_killed_ends_its_workers_and_the_next_start_finds_the_database(folder: Path) -> None:
    with Live(folder, command=COMMAND) as service:
        service.ready()
        bearer = own_token(folder)
        assert service.request("POST", TASKS, b'{"title": "kept"}', token=bearer).status == 201
        workers = service.workers()
        service.end(signal.SIGKILL)
        assert workers
        assert soon(lambda: all(gone(worker) for worker in workers))
    with Live(folder, command=COMMAND) as service:
        assert titles(service.ready(), bearer) == ["kept"]
        assert service.end() == 0
    assert postmasters(folder) == []


def test_serve_two_services_on_one_folder_share_the_database(folder: Path) -> None:
    with Live(folder, command=COMMAND) as first, Live(folder, command=COMMAND) as second:
        first.ready()
        second.ready()
        bearer = own_token(folder)
        assert first.request("POST", TASKS, b'{"title": "shared"}', token=bearer).status == 201
        assert titles(second, bearer) == ["shared"]
        assert len(postmasters(folder)) == 1
        assert first.end() == 0
        assert titles(second, bearer) == ["shared"]


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT])
def test_serve_stopped_while_starting_exits_without_a_trace_and_stops_the_database(
    folder: Path, by: signal.Signals
) -> None:
    with Live(folder, command=COMMAND) as service:
        assert soon(lambda: "starting the embedded database" in service.output())
        assert service.end(by) == 128 + by
        assert "Traceback" not in service.output()
    assert soon(lambda: not postmasters(folder))


def test_serve_as_ordinary_user_works(folder: Path, server: EmbeddedServer) -> None:
    """For root: as the user that PostgreSQL runs as, whom `server` has made.

    It may read everything, because the interpreter may be in root's home.
    """
    prefix: list[str] = []
    if os.geteuid() == 0:
        user = pwd.getpwnam(SYSTEM_USER)
        os.chown(folder, user.pw_uid, user.pw_gid)
        ids = [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
        assert server.url
        prefix = ["setpriv", *ids, "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    with Live(folder, prefix=prefix) as service:
        service.ready()
        assert psutil.Process(service.process.pid).uids().real != 0
        assert psutil.Process(service.workers()[0]).uids().real != 0
        assert (folder / "data" / "jwt-secret").stat().st_mode & 0o777 == 0o600
        assert service.end() == 0
    assert postmasters(folder) == []


def spelled(url: str, scheme: str, options: str = "") -> str:
    """The URL of a database with another scheme and more options."""
    made = make_url(url)
    host = quote(str(made.query["host"]), safe="")
    return f"{scheme}://{made.username}@/{made.database}?host={host}&port={made.query['port']}{options}"


@pytest.mark.parametrize("scheme", ["postgres", "postgresql"])
def test_serve_with_database_url_in_either_spelling_works(folder: Path, url: str, scheme: str) -> None:
    database = spelled(url, scheme, "&sslmode=prefer&channel_binding=prefer")
    with Live(folder, command=COMMAND, DATABASE_URL=database, JWT_SECRET=SECRET) as service:
        service.ready()
        assert service.request("GET", TASKS, token=token("ada")).status == 200
        assert not (folder / "data").exists()


def test_serve_contract_without_its_handler_fails_at_start(folder: Path, url: str) -> None:
    """A copy of the code, without the handler of one operation. No database has to be made first, which takes seconds."""
    root = Path(__file__).parents[2]
    for name in ("todo_api", "openapi", "migrations"):
        shutil.copytree(root / name, folder / name)
    handlers = folder / "todo_api" / "tasks" / "handlers.py"
    handlers.write_text(handlers.read_text().replace("def list_tasks(", "def list_all_tasks("))
    program = "from todo_api.cli.main import main; import sys; sys.exit(main(['serve']))"
    settings = {"DATABASE_URL": url, "JWT_SECRET": SECRET, "PORT": "0"}
    done = run("-c", program, cwd=folder, command=Path(sys.executable), **settings)
    assert done.returncode != 0
    assert "list_tasks" in done.stderr
