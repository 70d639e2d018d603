"""Backups of the embedded database: whole, of one moment, proven, and never in the way of what is there."""

import gzip
import os
import re
import subprocess
import threading
from pathlib import Path

import pytest

from tests.support.backups import as_postgres, backed_up, insert, restored, served, users
from tests.support.credentials import PASSWORD, token
from tests.support.databases import database_url, execute
from tests.support.live import COMMAND, Live, refusal, run
from todo_api.config.secrets import load_or_create_secret
from todo_api.embedded import EmbeddedServer
from todo_api.embedded import backup as backups
from todo_api.provisioning import epochs, migrations

BACKUPS = Path(__file__).parents[2] / "docs" / "backups.md"
TASKS = "/api/v1/me/tasks"
ACCOUNT = f'{{"email": "ada@example.com", "password": "{PASSWORD}"}}'.encode()


def test_backup_while_the_service_writes_restores_one_moment_elsewhere(folder: Path) -> None:
    before, after = folder / "before", folder / "after"
    before.mkdir()
    after.mkdir()
    with Live(before, RATE_LIMIT="off") as service:
        service.ready()
        assert service.request("POST", "/api/v1/auth/register", ACCOUNT).status == 201
        ada = token("ada", secret=load_or_create_secret(before / "data"))
        acknowledged: list[int] = []
        stop = threading.Event()

        def write() -> None:
            while not stop.is_set():
                reply = service.request("POST", TASKS, b'{"title": "Written meanwhile"}', token=ada)
                assert reply.status == 201
                acknowledged.append(reply.json()["version"])

        writer = threading.Thread(target=write)
        writer.start()
        while len(acknowledged) < 50:
            stop.wait(0.01)
        known = len(acknowledged)
        done = run("backup", str(after / "tasks.backup"), cwd=before)
        during = len(acknowledged)
        stop.set()
        writer.join()
        assert done.returncode == 0, done
    restored(after, after / "tasks.backup")
    with Live(after, RATE_LIMIT="off") as service:
        service.ready()
        assert service.request("POST", "/api/v1/auth/token", ACCOUNT).status == 200
        ada = token("ada", secret=load_or_create_secret(after / "data"))
        page = service.request("GET", f"{TASKS}?limit=1", token=ada)
        total = page.json()["total"]
        assert known <= total <= during
        assert page.headers["etag"].endswith(
            f'-{epochs.JUMP + total}"'
        )  # the user's number and the tasks are of the same moment
        assert (
            service.request("POST", TASKS, b'{"title": "Goes on"}', token=ada).json()["version"]
            == epochs.JUMP + total + 1
        )
    assert during > known
    assert load_or_create_secret(before / "data") != load_or_create_secret(after / "data")


def test_backup_file_that_appears_meanwhile_is_kept(source: EmbeddedServer, folder: Path) -> None:
    file = folder / "tasks.backup"

    def progress(line: str) -> None:
        if line.startswith("restoring"):
            file.write_text("precious")

    with pytest.raises(backups.BackupError, match="exists: name another file"):
        backups.backup(source, file, overwrite=False, progress=progress)
    assert [(each.name, each.read_text()) for each in folder.iterdir()] == [("tasks.backup", "precious")]


def test_backup_on_a_full_disk_says_so_and_leaves_nothing(folder: Path) -> None:
    with Live(folder) as service:  # whose PostgreSQL has no such limit
        service.ready()
        with served(folder) as server:
            for number in range(10):
                insert(server, f"user-{number}")
        limited = run("--fsize=10000", str(COMMAND), "backup", "tasks.backup", cwd=folder, command=Path("prlimit"))
    assert (limited.returncode, limited.stderr.splitlines()[-1]) == (
        1,
        "todo-api: tasks.backup cannot be written or read: File too large.",
    )
    assert [each.name for each in folder.iterdir()] == ["data"]


def test_restore_where_there_is_data_needs_overwrite_and_no_service(source: EmbeddedServer, folder: Path) -> None:
    insert(source, "in-the-backup")
    file = backed_up(source, folder / "tasks.backup")
    with Live(folder) as service:
        service.ready()
        ada = token("ada", secret=load_or_create_secret(folder / "data"))
        assert service.request("POST", TASKS, b'{"title": "In the way"}', token=ada).status == 201
        in_use = f"the embedded database in {folder}/data/postgresql is in use; stop every service that uses it first."
        assert refusal("restore", "--overwrite", str(file), cwd=folder) == in_use
        assert service.request("GET", TASKS, token=ada).json()["total"] == 1
    last = run("restore", str(file), cwd=folder).stderr.splitlines()[-1]
    assert last == "todo-api: the database holds data: add --overwrite to put the backup in its place."
    with served(folder) as server:
        assert users(server) == {"ada"}
    done = run("restore", "--overwrite", str(file), cwd=folder)
    assert done.returncode == 0, done
    with served(folder) as server:
        assert users(server) == users(source)
        databases = execute(server.url, "SELECT datname FROM pg_database WHERE datname LIKE 'todo%'")
        assert databases == [("todo",)]


def test_restore_under_way_keeps_services_from_starting(folder: Path) -> None:
    restoring = EmbeddedServer.start(folder / "data" / "postgresql", alone=True)
    line = refusal("serve", cwd=folder, PORT="0")
    assert line.endswith("is in use; it is being restored: try again after that.")
    restoring.stop()
    with served(folder) as server:
        assert execute(server.url, "SELECT 1") == [(1,)]


def test_restore_of_an_older_schema_is_migrated(source: EmbeddedServer, folder: Path) -> None:
    with served(folder) as server:
        migrations.migrate(server.url, revision="0001")
        insert(server, "old")
        file = backed_up(server, folder / "old.backup")
    (folder / "new").mkdir()
    restored(folder / "new", file)
    with served(folder / "new") as server:
        assert users(server) == {"old"}
        assert execute(server.url, "SELECT version_num FROM alembic_version") == [(migrations.head(),)]


def test_restore_of_a_newer_schema_is_refused_and_changes_nothing(source: EmbeddedServer, folder: Path) -> None:
    execute(source.url, "UPDATE alembic_version SET version_num = '9999'")
    try:
        file = backed_up(source, folder / "newer.backup")
    finally:
        execute(source.url, f"UPDATE alembic_version SET version_num = '{migrations.head()}'")
    last = run("restore", str(file), cwd=folder).stderr.splitlines()[-1]
    assert last == f"todo-api: {file} is at revision 9999, which this release does not know: install a newer release."


def test_restore_that_fails_leaves_the_data_as_they_were(source: EmbeddedServer, folder: Path) -> None:
    """The rights in this one name a role that is nowhere else."""
    execute(source.url, "CREATE ROLE nowhere_else; GRANT SELECT ON tasks TO nowhere_else")
    try:
        with gzip.open(folder / "other.backup", "wb") as packed:
            backups._dump(source, "todo", packed, "--format=custom", "--compress=none")
    finally:
        execute(source.url, "REVOKE SELECT ON tasks FROM nowhere_else; DROP ROLE nowhere_else")
    with served(folder) as server:
        migrations.migrate(server.url)
        insert(server, "ada")
    done = run("restore", "--overwrite", str(folder / "other.backup"), cwd=folder)
    assert re.search(r'other.backup could not be restored: .*role "nowhere_else" does not exist', done.stderr)
    assert done.returncode == 1
    with served(folder) as server:
        assert users(server) == {"ada"}
        assert execute(server.url, "SELECT count(*) FROM pg_database WHERE datname LIKE 'todo_%'") == [(0,)]


def test_documented_commands_for_your_own_postgresql_keep_everything(
    source: EmbeddedServer, server: EmbeddedServer, folder: Path
) -> None:
    """Two servers: rows, schema and rights of the one are in the other, and the dump's role is as the page makes it."""
    text = BACKUPS.read_text(encoding="utf-8")
    (role,) = re.findall(r"```sql\n(.*?)```", text, re.DOTALL)
    own, moved = re.findall(r"```bash\n(.*?)```", text, re.DOTALL)
    role = role.replace("tasks_backup", f"tasks_backup_{os.getpid()}")
    backed_up(source, folder / "tasks.backup")
    execute(as_postgres(source), role)
    dump_url = source.url.replace("//todo@", f"//tasks_backup_{os.getpid()}@")
    programs = source._programs
    for commands in (own, moved):
        target = new_empty(server)
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", commands],
            cwd=folder,
            env={"PATH": f"{programs}:{os.defpath}", "DATABASE_URL": target, "BACKUP_URL": dump_url},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert (done.returncode, done.stderr) == (0, "")
        found = execute(target.replace("//todo@", "//postgres@"), "SELECT id, seq, pending FROM users ORDER BY id")
        assert found == execute(as_postgres(source), "SELECT id, seq, pending FROM users ORDER BY id")
        policies = "SELECT tablename, policyname, roles, cmd, qual, with_check FROM pg_policies ORDER BY 1, 2"
        assert execute(target, policies) == execute(source.url, policies)
        rights = "SELECT relname, relacl::text FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1"
        assert execute(target, rights) == execute(source.url, rights)
        migrations.migrate(target)


def new_empty(server: EmbeddedServer) -> str:
    name = f"moved_{os.urandom(4).hex()}"
    execute(server.url, f"CREATE DATABASE {name}")
    return database_url(server.url, name)
