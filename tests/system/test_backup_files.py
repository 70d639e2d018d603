"""Backups of the embedded database: whole, of one moment, proven, and never in the way of what is there."""

import gzip
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.backups import backed_up
from tests.support.credentials import SECRET
from tests.support.databases import execute
from tests.support.live import refusal
from todo_api.embedded import EmbeddedServer
from todo_api.embedded import backup as backups


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


def test_backup_without_a_database_makes_none(folder: Path) -> None:
    line = refusal("backup", "tasks.backup", cwd=folder)
    assert line == "There is no database in DATA_DIR data: nothing to back up."
    assert [*folder.iterdir()] == []


@pytest.mark.parametrize("command", ["backup", "restore"])
def test_database_of_your_own_is_left_to_its_own_programs(folder: Path, command: str) -> None:
    line = refusal(command, "file", cwd=folder, DATABASE_URL="postgresql://localhost/tasks", JWT_SECRET=SECRET)
    assert line.startswith("DATABASE_URL is set, and this is for the embedded database:")


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


def test_documentation_is_right_that_the_owner_cannot_dump(source: EmbeddedServer) -> None:
    command = [source._programs / "pg_dump", "--format=custom", "--file=/dev/null", source.url]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "would be affected by row-level security policy" in done.stderr
