"""`todo-api serve`: where its settings come from, what it says, and how it ends."""

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.credentials import SECRET, token
from tests.support.live import COMMAND, Live, refusal
from tests.support.processes import postmasters, soon

TASKS = "/api/v1/me/tasks"


def test_serve_interrupted_exits_quietly_and_stops_the_database(folder: Path) -> None:
    with Live(folder, command=COMMAND) as service:
        service.ready()
        assert service.end(signal.SIGINT) == 0
        assert "Traceback" not in service.output()
    assert postmasters(folder) == []


def test_serve_before_its_readiness_was_asked_for_gives_the_second_page(folder: Path, url: str) -> None:
    """What a request needs is not left behind by the checks, which have connections of their own."""
    with Live(folder, command=COMMAND, DATABASE_URL=url, JWT_SECRET=SECRET) as service:
        assert soon(lambda: f"localhost:{service.port}/api/v1/ui/" in service.output())
        bearer = token("two-pages")
        for title in ("One", "Two"):
            assert service.request("POST", TASKS, b'{"title": "%s"}' % title.encode(), token=bearer).status == 201
        cursor = service.request("GET", f"{TASKS}?limit=1", token=bearer).json()["next_cursor"]
        page = service.request("GET", f"{TASKS}?limit=1&cursor={cursor}", token=bearer)
        assert [task["title"] for task in page.json()["items"]] == ["One"]


def test_serve_database_url_without_the_ssl_it_demands_is_refused(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        database = f"postgresql://u:p@127.0.0.1:{listener.getsockname()[1]}/d?sslmode=require&channel_binding=require"
        pid = os.fork()
        if pid == 0:  # a PostgreSQL that has no SSL: it answers the SSLRequest with N
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    connection.recv(8)
                    connection.sendall(b"N")
            os._exit(0)
        try:
            line = refusal("serve", cwd=folder, DATABASE_URL=database, JWT_SECRET=SECRET, PORT="0")
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    assert "SSL" in line
    assert line.endswith("Check DATABASE_URL.")


@pytest.fixture(scope="module")
def served(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A service that is told by a flag, the environment (see `Live`) and an .env file."""
    folder = tmp_path_factory.mktemp("served")
    (folder / ".env").write_text(f"DATABASE_URL={url}\nJWT_SECRET={SECRET}\nWEB_CONCURRENCY=3\n")
    with Live(folder, "--workers", "2", command=COMMAND) as service:
        yield service.ready()


def test_serve_flags_win_over_the_environment(served: Live) -> None:
    assert soon(lambda: len(served.workers()) == 2)


def test_serve_reads_the_env_file_of_its_folder(served: Live) -> None:
    assert served.request("GET", TASKS, token=token("ada")).status == 200


def test_serve_says_where_it_serves(served: Live) -> None:
    at = f"http://localhost:{served.port}"
    assert soon(lambda: f"Serving {at}/api/v1\n" in served.output())
    assert soon(lambda: f"Try it      {at}/api/v1/ui/\n" in served.output())


def test_serve_worker_killed_is_replaced(folder: Path, url: str) -> None:
    with Live(folder, command=COMMAND, DATABASE_URL=url, JWT_SECRET=SECRET) as service:
        (first,) = service.ready().workers()
        os.kill(first, signal.SIGKILL)
        assert soon(lambda: len(service.workers()) == 2)
        service.ready()
