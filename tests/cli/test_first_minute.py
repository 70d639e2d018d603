"""What a newcomer meets in a terminal: the banner, a demo account, the settings, and what is wrong with a command."""

import dataclasses
import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.client import Client
from tests.support.credentials import SECRET
from tests.support.databases import database_url
from tests.support.live import COMMAND, Live, environment, free_port, interruptible, refusal, run
from tests.support.processes import soon
from todo_api import contract
from todo_api.config import Config
from todo_api.embedded import EmbeddedServer

TASKS = "/api/v1/me/tasks"
FULL = Path("/dev/full")


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """Both ends of a terminal: ours, and that of a program."""
    ours, theirs = pty.openpty()
    yield ours, theirs
    os.close(ours)


def shown(terminal: tuple[int, int], end: str) -> str:
    """What a terminal shows up to `end`."""
    text = ""
    while end not in text:
        text += os.read(terminal[0], 4096).decode()
    return text


@pytest.mark.parametrize(
    ("settings", "colored"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False), ({"NO_COLOR": ""}, True)],
)
def test_banner_on_a_terminal_has_colors_unless_they_are_not_wanted(
    tmp_path: Path, terminal: tuple[int, int], settings: dict[str, str], colored: bool
) -> None:
    told = "from todo_api.cli import banner; import sys; sys.stderr.write(banner.banner('http://localhost:1') + 'END')"
    subprocess.run(
        [sys.executable, "-c", told],
        cwd=tmp_path,
        env=environment(tmp_path, TERM="xterm") | settings,
        stderr=terminal[1],
        check=True,
        timeout=60,
    )
    assert ("\x1b[" in shown(terminal, "END")) is colored


def test_serve_on_a_terminal_is_one_line_a_banner_and_a_farewell(
    tmp_path: Path, url: str, terminal: tuple[int, int]
) -> None:
    port = free_port()
    settings = {"DATABASE_URL": url, "JWT_SECRET": SECRET, "PORT": str(port), "WEB_CONCURRENCY": "1", "TERM": "xterm"}
    process = subprocess.Popen(
        [COMMAND, "serve"],
        cwd=tmp_path,
        env=environment(tmp_path, **settings),
        stdin=subprocess.DEVNULL,
        stdout=terminal[1],
        stderr=terminal[1],
        preexec_fn=interruptible,  # noqa: PLW1509  # it takes no lock
    )
    try:
        start = shown(terminal, "Ctrl-C")
        process.send_signal(signal.SIGINT)
        end = shown(terminal, "Stopped.")
        assert process.wait(60) == 0
    finally:
        process.kill()
    plain = re.sub(r"\x1b\[\d+m", "", start).split("\r\n")
    assert [line[25:] for line in plain if re.match(r"\d{4}-", line)] == [
        f"info    Serving http://localhost:{port}/api/v1"
    ]
    assert [line.split() for line in plain if line.startswith("  ")] == [
        ["Front", "page", f"http://localhost:{port}/"],
        ["Reference", f"http://localhost:{port}/api/v1/reference/"],
        ["Try", "it", f"http://localhost:{port}/api/v1/ui/"],
        ["Stop", "Ctrl-C"],
    ]
    assert end.count("\n") <= 2


@pytest.mark.parametrize(("form", "banners"), [("text", 1), ("json", 0)])
def test_serve_into_a_pipe_has_no_colors_and_in_json_no_banner(
    tmp_path: Path, url: str, form: str, banners: int
) -> None:
    with Live(tmp_path, DATABASE_URL=url, JWT_SECRET=SECRET, LOG_FORMAT=form) as service:
        service.ready()
        assert service.end() == 0
        assert soon(lambda: "Stopped." in service.output())
        output = service.output()
    assert output.count("Front page") == banners
    assert output.count("Stopped.") == 1
    assert "\x1b" not in output


def test_demo_makes_forty_tasks_of_every_status_and_a_key_that_works(
    tmp_path: Path, url: str, anonymous: Client
) -> None:
    done = run("demo", cwd=tmp_path, DATABASE_URL=url, JWT_SECRET=SECRET, PORT="8123")
    assert (done.returncode, done.stderr) == (0, "")
    signed_in = re.search(
        r"Sign in +demo@example\.com, password (\S+), at http://localhost:8123/api/v1/ui/\n", done.stdout
    )
    key = re.search(r"API key +(\S+)\n", done.stdout)
    assert signed_in is not None
    assert key is not None
    assert f"curl -H 'Authorization: Bearer {key[1]}' 'http://localhost:8123/api/v1/me/tasks?limit=5'" in done.stdout
    login = {"email": "demo@example.com", "password": signed_in[1]}
    issued = anonymous.post("/api/v1/auth/token", login).json()
    by_password = anonymous.signed_in(issued["access_token"]).get(f"{TASKS}?limit=100").json()
    by_key = anonymous.signed_in(key[1]).get(f"{TASKS}?limit=100").json()
    assert by_password == by_key
    assert by_key["total"] == 40
    assert {task["status"] for task in by_key["items"]} == {"pending", "in_progress", "completed", "cancelled"}
    for member in contract.load(contract.TASK_API)["components"]["schemas"]["TaskInput"]["properties"]:
        assert len({json.dumps(task[member]) for task in by_key["items"]}) > 1, member  # whatever the contract allows
    assert {task["due"]["time_zone"] for task in by_key["items"] if task["due"]} == {None, "Europe/Vienna"}
    again = refusal("demo", cwd=tmp_path, DATABASE_URL=url, JWT_SECRET=SECRET)
    assert again.startswith("the address has an account. Delete it (todo-api users delete ADDRESS --yes)")
    deleted = run("users", "delete", "demo@example.com", "--yes", cwd=tmp_path, DATABASE_URL=url, JWT_SECRET=SECRET)
    assert deleted.returncode == 0
    assert run("demo", cwd=tmp_path, DATABASE_URL=url, JWT_SECRET=SECRET).returncode == 0


def test_demo_behind_a_proxy_prints_the_address_of_the_proxy(tmp_path: Path, url: str) -> None:
    settings = {"DATABASE_URL": url, "JWT_SECRET": SECRET, "PUBLIC_URL": "https://tasks.example.com/todo/"}
    done = run("demo", "--email", "proxy@example.com", cwd=tmp_path, **settings)
    assert " at https://tasks.example.com/todo/api/v1/ui/\n" in done.stdout
    assert "'https://tasks.example.com/todo/api/v1/me/tasks?limit=5'" in done.stdout


def test_demo_for_an_external_issuer_or_without_an_address_is_refused(tmp_path: Path, url: str) -> None:
    external = {"JWT_ISSUER": "https://issuer.example", "JWT_AUDIENCE": "tasks", "JWT_SECRET": SECRET}
    assert refusal("demo", cwd=tmp_path, DATABASE_URL=url, **external).startswith("JWT_ISSUER is set: ")
    own = {"DATABASE_URL": url, "JWT_SECRET": SECRET}
    assert refusal("demo", "--email", "nobody", cwd=tmp_path, **own) == "--email must be an e-mail address."


def test_demo_on_a_database_without_tables_names_the_command_that_makes_them(
    tmp_path: Path, server: EmbeddedServer
) -> None:
    empty = database_url(server.url, "postgres")
    told = refusal("demo", cwd=tmp_path, DATABASE_URL=empty, JWT_SECRET=SECRET)
    assert told == "the database has no tables yet. Make them: todo-api migrate."


def test_settings_names_each_with_its_value_and_where_it_comes_from(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("PORT=8080\nLOG_LEVEL=ERROR\n")
    done = run("settings", "--host", "::1", cwd=tmp_path, LOG_LEVEL="DEBUG", JWT_SECRET=SECRET)
    assert (done.returncode, done.stderr) == (0, "")
    lines = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines()}
    assert [*lines] == sorted(field.name.upper() for field in dataclasses.fields(Config))
    assert lines["PORT"] == [".env", "8080"]
    assert lines["LOG_LEVEL"] == ["environment", "DEBUG"]
    assert lines["HOST"] == ["flag", "::1"]
    assert lines["DATA_DIR"] == ["default", "data"]
    assert lines["JWT_SECRET"] == ["environment", "(hidden)"]
    assert lines["CORS_ORIGINS"] == ["default"]
    as_json = json.loads(run("settings", "--json", cwd=tmp_path, LOG_LEVEL="DEBUG", JWT_SECRET=SECRET).stdout)
    assert {"name": "PORT", "text": "8080", "source": ".env"} in as_json
    assert [setting["name"] for setting in as_json] == [*lines]


def test_settings_that_a_start_refuses_are_listed_and_refused(tmp_path: Path) -> None:
    done = run("settings", cwd=tmp_path, PORT="http")
    assert (done.returncode, done.stderr) == (1, "todo-api: PORT must be a whole number.\n")
    assert re.search("^PORT +environment +http$", done.stdout, re.MULTILINE)


@pytest.mark.parametrize(
    ("arguments", "usage", "line"),
    [
        (["srve"], "todo-api [-h]", "todo-api: error: there is no command srve; did you mean serve?"),
        (["users", "lst"], "todo-api users [-h]", "todo-api users: error: there is no command lst; did you mean list?"),
        (["quux"], "todo-api [-h]", "todo-api: error: there is no command quux."),
        (
            ["users", "list", "--x"],
            "todo-api users list [-h]",
            "todo-api users list: error: unrecognized arguments: --x",
        ),
        (["serve", "--prt", "3"], "todo-api serve [-h]", "todo-api serve: error: unrecognized arguments: --prt 3"),
        (["backup"], "todo-api backup [-h]", "todo-api backup: error: the following arguments are required: FILE"),
        (
            ["users", "show"],
            "todo-api users show [-h]",
            "todo-api users show: error: the following arguments are required: USER",
        ),
    ],
)
def test_any_wrong_command_line_shows_the_usage_of_its_command(
    tmp_path: Path, arguments: list[str], usage: str, line: str
) -> None:
    done = run(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"usage: {usage}")
    assert done.stderr.splitlines()[-1] == line


@pytest.mark.parametrize("arguments", [["contract", "--format", "json"], ["contract"], ["settings"], ["--help"]])
def test_any_command_whose_reader_leaves_ends_quietly(tmp_path: Path, arguments: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [COMMAND, *arguments],
        cwd=tmp_path,
        env=environment(tmp_path),
        stdout=writer,
        stderr=subprocess.PIPE,
        check=False,
        timeout=60,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, b"")


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("arguments", ["settings", "--version", "srve"])
def test_any_command_with_a_closed_stream_ends_as_with_an_open_one(tmp_path: Path, arguments: str, closed: str) -> None:
    command = f'"$0" {arguments} {closed}'
    done = subprocess.run(
        ["/bin/sh", "-c", command, str(COMMAND)],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == (2 if arguments == "srve" else 0)
    assert "Traceback" not in done.stderr


def test_any_command_with_closed_streams_keeps_their_numbers_from_its_files(tmp_path: Path) -> None:
    program = (
        "import os; from todo_api.cli import main; main(['settings']);"
        "open('opened', 'w').write(' '.join(os.readlink(f'/dev/fd/{number}') for number in range(3)))"
    )
    subprocess.run(
        ["/bin/sh", "-c", 'exec "$0" -c "$1" <&- >&- 2>&-', sys.executable, program],
        cwd=tmp_path,
        env=environment(tmp_path),
        check=True,
        timeout=60,
    )
    assert (tmp_path / "opened").read_text() == " ".join([os.devnull] * 3)


@pytest.mark.skipif(not FULL.exists(), reason="Linux has a device that is always full")
def test_contract_into_a_full_disk_is_one_line(tmp_path: Path) -> None:
    with FULL.open("w") as full:
        done = subprocess.run(
            [COMMAND, "contract"],
            cwd=tmp_path,
            env=environment(tmp_path),
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
            timeout=60,
        )
    assert (done.returncode, done.stderr) == (1, b"todo-api: the output cannot be written: No space left on device.\n")
