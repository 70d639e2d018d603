"""A restore changes all or nothing, whatever an earlier one left and whoever is connected."""

import gzip
import io
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from tests.support.backups import as_postgres, backed_up, insert, users
from tests.support.databases import database_url, execute
from tests.support.processes import postmasters
from todo_api.embedded import EmbeddedServer
from todo_api.embedded import backup as backups

DATABASES = "SELECT datname FROM pg_database WHERE datname LIKE 'todo%'"


@pytest.fixture(scope="module")
def whole(source: EmbeddedServer) -> Iterator[Path]:
    """A backup that has the user `seed` alone."""
    with tempfile.TemporaryDirectory() as folder:
        yield backed_up(source, Path(folder) / "whole")


@pytest.fixture
def changed(source: EmbeddedServer, whole: Path) -> EmbeddedServer:
    """The server, whose database has one user more than the backup."""
    execute(as_postgres(source), "DELETE FROM users WHERE id = 'later'")
    insert(source, "later")
    return source


def restore(server: EmbeddedServer, file: Path) -> None:
    backups.restore(server, file, overwrite=True, progress=lambda _: None)


def by_hand(server: EmbeddedServer, name: str) -> str:
    """The superuser's URL of another database of the server."""
    return database_url(as_postgres(server), name)


def test_restore_after_one_that_was_killed_removes_what_it_left_whoever_is_connected_to_it(
    changed: EmbeddedServer, whole: Path
) -> None:
    """A worker that outlives its killed service may still be connected, also to the database that is replaced."""
    for name in ("todo_restoring", "todo_replaced"):
        execute(by_hand(changed, "postgres"), f"CREATE DATABASE {name}")
    left = [by_hand(changed, name) for name in ("todo_restoring", "todo_replaced", "todo")]
    with (
        closing(psycopg2.connect(left[0])) as one,
        closing(psycopg2.connect(left[1])) as two,
        closing(psycopg2.connect(left[2])) as three,
    ):
        restore(changed, whole)
        for ended in (one, two, three):
            with pytest.raises(psycopg2.OperationalError):
                ended.cursor().execute("SELECT 1")
    assert users(changed) == {"seed"}
    assert execute(changed.url, DATABASES) == [("todo",)]
    # Plans are made of these figures, which a dump does not have.
    figures = "SELECT count(*) > 0 FROM pg_statistic WHERE starelid = 'tasks'::regclass"
    assert execute(as_postgres(changed), figures) == [(True,)]


def test_restore_whose_last_step_fails_leaves_the_database_in_its_place(
    changed: EmbeddedServer, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The two databases change places at once: here the new one cannot, since somebody is connected to it."""
    renew, held = backups.epochs.renew, []

    def and_connect(url: str) -> None:
        renew(url)
        held.append(psycopg2.connect(url))

    monkeypatch.setattr(backups.epochs, "renew", and_connect)
    with pytest.raises(backups.BackupError, match='the database refuses: database "todo_restoring" is being accessed'):
        restore(changed, whole)
    held[0].close()
    assert users(changed) == {"seed", "later"}


def test_restore_that_is_broken_off_leaves_the_data_and_no_other_database(
    changed: EmbeddedServer, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_off(_: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(backups.epochs, "renew", break_off)
    with pytest.raises(KeyboardInterrupt):
        restore(changed, whole)
    assert users(changed) == {"seed", "later"}
    assert execute(changed.url, DATABASES) == [("todo",)]


def test_restore_of_a_file_that_pg_restore_reads_only_the_beginning_of_says_what_it_says(
    source: EmbeddedServer, folder: Path
) -> None:
    """It ends before the file does, so the rest of the file finds no reader."""
    file = folder / "tasks.backup"
    file.write_bytes(gzip.compress(backups.MAGIC + os.urandom(1 << 20)))
    with pytest.raises(backups.BackupError, match=r"tasks\.backup could not be restored: \w+"):
        restore(source, file)


def test_backup_returns_the_number_of_rows_and_ends_the_server_that_proved_it(
    changed: EmbeddedServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proofs = folder / "temporary"
    proofs.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(proofs))
    rows = backups.backup(changed, folder / "tasks.backup", overwrite=False, progress=lambda _: None)
    assert rows == 4  # two users with a task each, and not the row of the schema's revision
    assert (postmasters(proofs), [*proofs.iterdir()]) == ([], [])


def test_backup_is_of_one_moment_with_its_schema(
    source: EmbeddedServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change of the schema that comes after the rows were read is neither in the file nor in what it is compared with."""
    dump = backups._dump

    def and_change(*arguments: Any) -> None:
        dump(*arguments)
        execute(source.url, "COMMENT ON TABLE tasks IS 'changed meanwhile'")

    monkeypatch.setattr(backups, "_dump", and_change)
    try:
        backed_up(source, folder / "tasks.backup")
    finally:
        execute(source.url, "COMMENT ON TABLE tasks IS NULL")


def test_backup_whose_dump_fails_says_why(source: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """What pg_dump has written by then would be a beginning without an end."""
    start = EmbeddedServer.program
    monkeypatch.setattr(EmbeddedServer, "program", lambda *given, **more: start(*given, "--nonsense", **more))
    with pytest.raises(backups.BackupError, match=r"^the database could not be read: .*\.$"):
        backups._dump(source, "todo", io.BytesIO(), "--schema-only")


def test_contents_that_backups_are_compared_by_have_the_sequences(source: EmbeddedServer) -> None:
    execute(source.url, "CREATE SEQUENCE numbers")
    try:
        with backups._connected(as_postgres(source)) as connection:
            before = backups._contents(connection)
            execute(source.url, "SELECT nextval('numbers')")
            assert backups._contents(connection) != before
    finally:
        execute(source.url, "DROP SEQUENCE numbers")


@pytest.mark.parametrize("links", [True, False], ids=["links", "no-links"])
@pytest.mark.parametrize("overwrite", [True, False], ids=["overwrite", "new"])
def test_backup_is_on_the_disk_before_it_has_its_name_and_its_name_before_it_is_told_of(
    folder: Path, monkeypatch: pytest.MonkeyPatch, links: bool, overwrite: bool
) -> None:
    """A machine that loses its power keeps the old file or has the new one whole."""
    done: list[str] = []
    monkeypatch.setattr(backups, "_snapshot", _no_snapshot)
    monkeypatch.setattr(backups, "_contents", lambda _: {})
    monkeypatch.setattr(backups, "_dump", lambda *_: None)
    monkeypatch.setattr(backups, "_schema", lambda *_: "")
    monkeypatch.setattr(backups, "_read_back", lambda _: ({}, ""))
    synchronise, link, replace = os.fsync, os.link, Path.replace

    def fsync(descriptor: int) -> None:
        done.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        synchronise(descriptor)

    def named(give: Callable[..., object]) -> Callable[..., object]:
        def give_name(*paths: Path) -> object:
            done.append("name")
            return give(*paths)

        return give_name

    def refuse(*_: Path) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "link", named(link) if links else refuse)
    monkeypatch.setattr(Path, "replace", named(replace))
    nowhere: Any = None
    backups.backup(nowhere, folder / "tasks.backup", overwrite=overwrite, progress=lambda _: None)
    assert done == ["file", "name", "folder"]
    assert [each.name for each in folder.iterdir()] == ["tasks.backup"]


def test_backup_on_a_file_system_without_links_keeps_a_file_that_took_the_name_meanwhile(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, file = folder / "made", folder / "tasks.backup"
    made.write_text("new")
    file.write_text("precious")

    def refuse(*_: Path) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(backups.BackupError, match="exists: name another file"):
        backups._publish(made, file, overwrite=False)
    assert file.read_text() == "precious"


class _no_snapshot:  # noqa: N801  # in the place of a function
    def __init__(self, _: object) -> None:
        pass

    def __enter__(self) -> tuple[None, str]:
        return None, ""

    def __exit__(self, *_: object) -> None:
        pass
