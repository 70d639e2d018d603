"""A backup is proven by what it restores to: its rows and its schema, each part of which a test takes out of the file."""

import gzip
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.backups import migrated_server
from tests.support.databases import execute
from todo_api.embedded import EmbeddedServer, EmbeddedUnavailable
from todo_api.embedded import backup as backups

FILES = [
    ("start.lock", True),
    ("start.lock", False),
    ("services.lock", True),
    ("server.lock", False),
    ("server.log", True),
]
"""What a start makes for itself, and whether the link in its place leads to a file. The last two come after initdb, which is slow."""

POLICY = "CREATE POLICY tasks_of_user ON tasks TO task_api_user USING (user_id = current_setting('app.user_id', true))"
LOST = {
    "index": ("DROP INDEX tasks_by_created_at", "CREATE INDEX tasks_by_created_at ON tasks (user_id, created_at, id)"),
    "policy": (
        "DROP POLICY tasks_of_user ON tasks",
        f"{POLICY} WITH CHECK (user_id = current_setting('app.user_id', true))",
    ),
    "check of a policy": (
        f"DROP POLICY tasks_of_user ON tasks; {POLICY}",
        f"DROP POLICY tasks_of_user ON tasks; {POLICY} WITH CHECK (user_id = current_setting('app.user_id', true))",
    ),
    "constraint": (
        "ALTER TABLE sessions DROP CONSTRAINT sessions_digest_form_check",
        "ALTER TABLE sessions ADD CONSTRAINT sessions_digest_form_check"
        " CHECK (family ~ '^[0-9a-f]{64}$' AND digest ~ '^[0-9a-f]{64}$')",
    ),
    "wall": ("ALTER TABLE tasks NO FORCE ROW LEVEL SECURITY", "ALTER TABLE tasks FORCE ROW LEVEL SECURITY"),
    "right": ("REVOKE DELETE ON tasks FROM task_api_user", "GRANT DELETE ON tasks TO task_api_user"),
    "default": ("ALTER TABLE users ALTER seq DROP DEFAULT", "ALTER TABLE users ALTER seq SET DEFAULT 0"),
    "comment": ("COMMENT ON COLUMN users.seq IS NULL", "COMMENT ON COLUMN users.seq IS 'the number'"),
}


@pytest.fixture(scope="module")
def source() -> Iterator[EmbeddedServer]:
    """A server with a migrated database."""
    with migrated_server() as server:
        yield server


@pytest.mark.parametrize(("lose", "mend"), LOST.values(), ids=LOST)
def test_schema_that_backups_are_compared_by_sees_each_part(source: EmbeddedServer, lose: str, mend: str) -> None:
    before = backups._schema(source, "todo")
    execute(source.url, lose)
    try:
        assert backups._schema(source, "todo") != before
    finally:
        execute(source.url, mend)


def test_backup_whose_file_lacks_a_part_of_the_schema_is_not_kept(source: EmbeddedServer, folder: Path) -> None:
    """What was written is exchanged, before it is proven, for the same rows without an index."""
    lose, mend = LOST["index"]
    execute(source.url, lose)
    try:
        with (folder / "less").open("wb") as less, gzip.GzipFile(fileobj=less, mode="wb") as packed:
            backups._dump(source, "todo", packed, "--format=custom", "--compress=none")
    finally:
        execute(source.url, mend)

    def exchange(line: str) -> None:
        if line.startswith("restoring"):
            (made,) = folder.glob(".tasks.backup-*")
            shutil.copyfile(folder / "less", made)

    with pytest.raises(backups.BackupError, match="the backup was not kept: read back, it differs from the database"):
        backups.backup(source, folder / "tasks.backup", overwrite=False, progress=exchange)
    assert [each.name for each in folder.iterdir()] == ["less"]


@pytest.mark.parametrize(("name", "exists"), FILES)
def test_start_with_a_link_in_the_place_of_a_file_of_its_own_touches_nothing_beyond_it(
    folder: Path, name: str, exists: bool
) -> None:
    """Where others may write into the folder, a link would have the service make or open any file in its user's name."""
    precious, data = folder / "precious", folder / "data"
    data.mkdir()
    if exists:
        precious.write_text("precious")
        precious.chmod(0o644)
    (data / name).symlink_to(precious)
    with pytest.raises(EmbeddedUnavailable, match=r"symbolic links.*set DATA_DIR to a folder that this user owns"):
        EmbeddedServer.start(data)
    if exists:
        assert (precious.read_text(), oct(precious.stat().st_mode & 0o777)) == ("precious", "0o644")
    else:
        assert not precious.exists()


def test_start_makes_files_of_its_own_for_their_owner_alone(source: EmbeddedServer) -> None:
    assert {oct((source._folder / name).stat().st_mode & 0o777) for name, _ in FILES} == {"0o600"}
