"""Backups of the embedded database: whole, of one moment, proven, and never in the way of what is there."""

import gzip
import os
import re
import shutil
import stat
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.credentials import PASSWORD, SECRET, token
from tests.support.databases import database_url, execute
from tests.support.live import COMMAND, Live, refusal, run
from todo_api.config.secrets import kept_secret
from todo_api.database import epochs, migrations
from todo_api.embedded import EmbeddedServer
from todo_api.embedded import backup as backups

README = Path(__file__).parents[2] / "README.md"
TASKS = "/api/v1/me/tasks"
ACCOUNT = f'{{"email": "ada@example.com", "password": "{PASSWORD}"}}'.encode()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that PostgreSQL's own user can be let into."""
    above = Path(tempfile.mkdtemp(prefix="test-backups-"))
    yield above
    shutil.rmtree(above)


@pytest.fixture(scope="module")
def source() -> Iterator[EmbeddedServer]:
    """A server with a migrated database, in which each test leaves something."""
    above = Path(tempfile.mkdtemp(prefix="test-backups-"))
    server = EmbeddedServer.start(above / "postgresql")
    migrations.migrate(server.url)
    insert(server, "seed")
    yield server
    server.stop()
    shutil.rmtree(above)


@pytest.fixture(scope="module")
def whole(source: EmbeddedServer) -> Iterator[bytes]:
    """What a backup has in it."""
    with tempfile.TemporaryDirectory() as folder:
        yield backed_up(source, Path(folder) / "whole").read_bytes()


def insert(server: EmbeddedServer, user_id: str) -> None:
    """A user with a task whose description does not compress."""
    execute(
        as_postgres(server),
        f"INSERT INTO users (id, seq, pending) VALUES ('{user_id}', 1, 1);"
        "INSERT INTO tasks (user_id, id, title, description, status, created_at, updated_at, version)"
        f" VALUES ('{user_id}', gen_random_uuid(), 'Kept', '{os.urandom(2000).hex()}', 'pending', now(), now(), 1)",
    )


def as_postgres(server: EmbeddedServer) -> str:
    return server.url.replace("//todo@", "//postgres@")


def backed_up(server: EmbeddedServer, file: Path) -> Path:
    backups.backup(server, file, overwrite=False, progress=lambda _: None)
    return file


def restored(folder: Path, file: Path) -> "subprocess.CompletedProcess[str]":
    """`todo-api restore` into an empty data folder."""
    done = run("restore", str(file), cwd=folder)
    assert done.returncode == 0, done
    return done


@contextmanager
def served(folder: Path) -> Iterator[EmbeddedServer]:
    server = EmbeddedServer.start(folder / "data" / "postgresql")
    try:
        yield server
    finally:
        server.stop()


def users(server: EmbeddedServer) -> set[str]:
    return {str(name) for (name,) in execute(as_postgres(server), "SELECT id FROM users")}


def test_backup_while_the_service_writes_restores_one_moment_elsewhere(folder: Path) -> None:
    before, after = folder / "before", folder / "after"
    before.mkdir()
    after.mkdir()
    with Live(before, RATE_LIMIT="off") as service:
        service.ready()
        assert service.request("POST", "/api/v1/auth/register", ACCOUNT).status == 201
        ada = token("ada", secret=kept_secret(before / "data"))
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
        ada = token("ada", secret=kept_secret(after / "data"))
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
    assert kept_secret(before / "data") != kept_secret(after / "data")


def test_backup_is_a_file_for_its_owner_alone_and_leaves_nothing_else(source: EmbeddedServer, folder: Path) -> None:
    file = backed_up(source, folder / "tasks.backup")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [each.name for each in folder.iterdir()] == ["tasks.backup"]


def test_backup_of_a_file_that_exists_needs_overwrite(source: EmbeddedServer, folder: Path) -> None:
    file = folder / "tasks.backup"
    file.write_text("precious")
    with pytest.raises(backups.BackupError, match=f"^{file} exists: name another file, or add --overwrite.$"):
        backups.backup(source, file, overwrite=False, progress=lambda _: None)
    assert file.read_text() == "precious"
    backups.backup(source, file, overwrite=True, progress=lambda _: None)
    backups.check(file)
    assert [each.name for each in folder.iterdir()] == ["tasks.backup"]


def test_backup_file_that_appears_meanwhile_is_kept(source: EmbeddedServer, folder: Path) -> None:
    file = folder / "tasks.backup"

    def progress(line: str) -> None:
        if line.startswith("restoring"):
            file.write_text("precious")

    with pytest.raises(backups.BackupError, match="exists: name another file"):
        backups.backup(source, file, overwrite=False, progress=progress)
    assert [(each.name, each.read_text()) for each in folder.iterdir()] == [("tasks.backup", "precious")]


@pytest.mark.parametrize(
    ("spoil", "mend", "why"),
    [
        (
            "CREATE FUNCTION fine(text) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT true';"
            "ALTER TABLE tasks ADD CONSTRAINT fine CHECK (public.fine(title));"
            "CREATE OR REPLACE FUNCTION fine(text) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT false'",
            "ALTER TABLE tasks DROP CONSTRAINT fine; DROP FUNCTION fine(text)",
            'the backup was not kept, since it could not be restored: .*violates check constraint "fine"',
        ),
        (
            "CREATE FUNCTION one(text) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 1';"
            "ALTER TABLE tasks ADD COLUMN one int GENERATED ALWAYS AS (public.one(title)) STORED;"
            "CREATE OR REPLACE FUNCTION one(text) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 2'",
            "ALTER TABLE tasks DROP COLUMN one; DROP FUNCTION one(text)",
            "the backup was not kept: read back, it differs from the database",
        ),
    ],
    ids=["refused", "different"],
)
def test_backup_that_does_not_restore_to_the_same_is_not_kept(
    source: EmbeddedServer, folder: Path, spoil: str, mend: str, why: str
) -> None:
    execute(source.url, spoil)
    try:
        with pytest.raises(backups.BackupError, match=why):
            backed_up(source, folder / "tasks.backup")
    finally:
        execute(source.url, mend)
    assert [*folder.iterdir()] == []


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


def test_backup_without_a_database_makes_none(folder: Path) -> None:
    line = refusal("backup", "tasks.backup", cwd=folder)
    assert line == "There is no database in DATA_DIR data: nothing to back up."
    assert [*folder.iterdir()] == []


@pytest.mark.parametrize("command", ["backup", "restore"])
def test_database_of_your_own_is_left_to_its_own_programs(folder: Path, command: str) -> None:
    line = refusal(command, "file", cwd=folder, DATABASE_URL="postgresql://localhost/tasks", JWT_SECRET=SECRET)
    assert line.startswith("DATABASE_URL is set, and this is for the embedded database:")


def test_restore_where_there_is_data_needs_overwrite_and_no_service(source: EmbeddedServer, folder: Path) -> None:
    insert(source, "in-the-backup")
    file = backed_up(source, folder / "tasks.backup")
    with Live(folder) as service:
        service.ready()
        ada = token("ada", secret=kept_secret(folder / "data"))
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


def flipped(at: float) -> Callable[[bytes], bytes]:
    def flip(content: bytes) -> bytes:
        place = int(len(content) * at)
        return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]

    return flip


DAMAGED = "is damaged or was cut short"
OTHER = "is not a backup of todo-api, or its beginning is damaged"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda content: content[: len(content) // 2], DAMAGED),
        (lambda content: content[:-1], DAMAGED),
        (flipped(0.5), DAMAGED),
        (flipped(0.98), DAMAGED),
        (lambda content: bytes(1) + content[1:], OTHER),
        (lambda _: b"", OTHER),
        (lambda _: b"-- SQL", OTHER),
        (lambda _: gzip.compress(b"-- SQL"), OTHER),
    ],
    ids=["half", "last-byte", "flipped-amid", "flipped-late", "first-byte", "empty", "sql", "gzip"],
)
def test_check_of_a_damaged_file_says_what_it_is(
    whole: bytes, folder: Path, change: Callable[[bytes], bytes], why: str
) -> None:
    file = folder / "damaged"
    file.write_bytes(change(whole))
    with pytest.raises(backups.BackupError, match=f"^{file} {why}. Take another one.$"):
        backups.check(file)


def test_restore_of_a_damaged_file_is_refused_before_anything_starts(whole: bytes, folder: Path) -> None:
    file = folder / "damaged"
    file.write_bytes(whole[:-1])
    assert refusal("restore", str(file), cwd=folder) == f"{file} {DAMAGED}. Take another one."
    assert not (folder / "data").exists()


def test_restore_of_no_file_says_so(folder: Path) -> None:
    assert refusal("restore", "nowhere", cwd=folder) == "nowhere cannot be read: No such file or directory."
    assert refusal("restore", ".", cwd=folder) == ". cannot be read: Is a directory."


def test_backup_into_no_folder_says_so(source: EmbeddedServer, folder: Path) -> None:
    file = folder / "missing" / "tasks.backup"
    with pytest.raises(backups.BackupError, match=f"^{file} cannot be written or read: No such file or directory.$"):
        backed_up(source, file)
    with pytest.raises(backups.BackupError, match=f"^{folder} is a folder: name a file.$"):
        backed_up(source, folder)


def test_readme_commands_for_your_own_postgresql_keep_everything(
    source: EmbeddedServer, server: EmbeddedServer, folder: Path
) -> None:
    """Two servers: rows, schema and rights of the one are in the other, and the dump's role is as the README makes it."""
    text = README.read_text(encoding="utf-8").partition("## Backups\n")[2].partition("\n## ")[0]
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


def test_readme_is_right_that_the_owner_cannot_dump(source: EmbeddedServer) -> None:
    command = [source._programs / "pg_dump", "--format=custom", "--file=/dev/null", source.url]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "would be affected by row-level security policy" in done.stderr


def new_empty(server: EmbeddedServer) -> str:
    name = f"moved_{os.urandom(4).hex()}"
    execute(server.url, f"CREATE DATABASE {name}")
    return database_url(server.url, name)
