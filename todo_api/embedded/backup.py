"""Backups of the embedded database: one file each, taken while it serves, verified by a restore.

The file is the output of `pg_dump --format=custom` in gzip, whose checksum detects damage: `gunzip
--stdout FILE | pg_restore` restores it into any PostgreSQL. It has the database, not the secret of
the data folder, so a stolen backup cannot make tokens.
"""

import gzip
import os
import shutil
import subprocess
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import IO, Any

import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812  # a class with a small name
from sqlalchemy.engine import make_url

from todo_api.embedded.server import DATABASE, EmbeddedServer, EmbeddedUnavailable
from todo_api.provisioning import epochs, migrations

MAGIC = b"PGDMP"
VERSIONS = "public.alembic_version"
RESTORING, REPLACED = "todo_restoring", "todo_replaced"
"""Names of databases: the one that a restore fills, and the old one until it is dropped."""

CHUNK = 1 << 20  # bytes

TABLES = """
    SELECT format('%I.%I', relnamespace::regnamespace, relname) FROM pg_class
    WHERE relkind IN ('r', 'm') AND relnamespace::regnamespace::text !~ '^(pg_|information_schema$)' ORDER BY 1
"""
END_SESSIONS = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{DATABASE}'"  # noqa: S608  # constants
SEQUENCES = "SELECT schemaname, sequencename, last_value FROM pg_sequences ORDER BY 1, 2"


class BackupError(Exception):
    """A backup or restore failed and changed nothing. The message is one line with a remedy."""


def backup(server: EmbeddedServer, file: Path, *, overwrite: bool, progress: Callable[[str], None]) -> int:
    """Write all data to `file` while others write, verify it, and return the number of rows.

    Only the owner can read the file. It appears once it is whole and verified. Raise BackupError.
    """
    _refuse_existing(file, overwrite)
    with _backup_errors(file), _temporary_file(file) as (made, stream):
        with _snapshot(server) as (connection, snapshot):
            progress(f"writing the database to {file}")
            contents = _contents(connection)
            with gzip.GzipFile(fileobj=stream, mode="wb", compresslevel=6, mtime=0) as packed:
                _dump(server, DATABASE, packed, "--format=custom", "--compress=none", f"--snapshot={snapshot}")
            schema = _schema(server, DATABASE, f"--snapshot={snapshot}")
        stream.flush()
        os.fsync(stream.fileno())
        progress("restoring it into a database of its own, to prove it")
        if _read_back(made) != (contents, schema):
            raise BackupError("the backup was not kept: read back, it differs from the database. Try again.")
        _publish(made, file, overwrite)
    return sum(rows for table, (rows, _) in contents.items() if table != VERSIONS)


def check(file: Path) -> None:
    """Read a backup through. Raise BackupError if it is none, or damaged."""
    is_backup = is_whole = False
    try:
        with gzip.open(file) as stream:
            is_backup = stream.read(len(MAGIC)) == MAGIC
            while is_backup and stream.read(CHUNK):
                pass
        is_whole = True
    except (gzip.BadGzipFile, EOFError, zlib.error):
        pass
    except OSError as error:
        raise BackupError(f"{file} cannot be read: {error.strerror}.") from error
    if not is_backup:
        raise BackupError(f"{file} is not a backup of todo-api, or its beginning is damaged. Take another one.")
    if not is_whole:
        raise BackupError(f"{file} is damaged or was cut short. Take another one.")


def restore(server: EmbeddedServer, file: Path, *, overwrite: bool, progress: Callable[[str], None]) -> None:
    """Replace the database by a checked backup, migrated to this release's schema.

    The old database stays until the new one is whole. The server must have been started `alone`.
    Raise BackupError or SchemaTooNewError.
    """
    with _backup_errors(file):
        if not overwrite and _holds_data(server):
            raise BackupError("the database holds data: add --overwrite to put the backup in its place.")
        migrations.refuse_unknown(_revision(server, file), str(file))
        progress(f"restoring {file}")
        try:
            url = _load(server, file)
            migrations.migrate(url)
            epochs.renew(url)
            with _connected(url) as connection:
                _query(connection, "ANALYZE")
        except BaseException:
            with _connected(server.as_superuser("postgres")) as connection:
                _query(connection, f"DROP DATABASE IF EXISTS {RESTORING} WITH (FORCE)")
            raise
        with _connected(server.as_superuser("postgres")) as connection:
            _query(connection, END_SESSIONS)
            _query(
                connection,
                f"ALTER DATABASE {DATABASE} RENAME TO {REPLACED}; ALTER DATABASE {RESTORING} RENAME TO {DATABASE}",
            )
            _query(connection, f"DROP DATABASE {REPLACED} WITH (FORCE)")


def _load(server: EmbeddedServer, file: Path) -> str:
    """Return the URL of a new database with the backup's data."""
    url = make_url(server.url).set(database=RESTORING).render_as_string(hide_password=False)
    with _connected(server.as_superuser("postgres")) as connection:
        for left in (RESTORING, REPLACED):
            _query(connection, f"DROP DATABASE IF EXISTS {left} WITH (FORCE)")
        owner = make_url(server.url).username
        # A backup has the privileges of roles, but not the roles. Those belong to the server:
        # migrating an empty database makes them, and they outlive it.
        _query(connection, f"CREATE DATABASE {RESTORING} OWNER {owner}")
        migrations.migrate(url)
        _query(connection, f"DROP DATABASE {RESTORING} WITH (FORCE)")
        _query(connection, f"CREATE DATABASE {RESTORING} OWNER {owner}")
    _pg_restore(server, file, "--exit-on-error", "--single-transaction", "--no-owner", f"--dbname={url}")
    return url


def _read_back(file: Path) -> tuple[dict[str, Any], str]:
    """Return contents and schema of a backup, restored by a temporary server."""
    try:
        with tempfile.TemporaryDirectory(prefix="todo-api-backup-", ignore_cleanup_errors=True) as folder:
            scratch = EmbeddedServer.start(Path(folder) / "postgresql")
            try:
                _load(scratch, file)
                with _connected(scratch.as_superuser(RESTORING)) as connection:
                    return _contents(connection), _schema(scratch, RESTORING)
            finally:
                scratch.stop()
    except (BackupError, EmbeddedUnavailable, OSError, psycopg2.Error) as error:
        why = " ".join(str(error).split()).rstrip(".")
        raise BackupError(
            f"the backup was not kept, since it could not be restored: {why}. That takes room in TMPDIR."
        ) from error


def _contents(connection: Connection) -> dict[str, Any]:
    """Return row count and checksum of each table, whatever the order of rows.

    The sequences are added like a table without rows.
    """
    found: dict[str, Any] = {}
    for (table,) in _query(connection, TABLES):
        summed = "coalesce(sum(hashtextextended(whole::text, 0)::numeric), 0)"
        found[table] = _query(connection, f"SELECT count(*), {summed} FROM {table} whole")[0]  # noqa: S608  # quoted by format()
    found["sequences"] = (0, _query(connection, SEQUENCES))
    return found


def _holds_data(server: EmbeddedServer) -> bool:
    with _connected(server.as_superuser()) as connection:
        tables = [table for (table,) in _query(connection, TABLES) if table != VERSIONS]
        return any(_query(connection, f"SELECT EXISTS (SELECT FROM {table})")[0][0] for table in tables)  # noqa: S608  # as above


def _schema(server: EmbeddedServer, database: str, *options: str) -> str:
    """Return the schema with its privileges, as SQL."""
    with tempfile.TemporaryFile() as stream:
        _dump(server, database, stream, "--schema-only", "--no-owner", *options)
        stream.seek(0)
        # The lines \restrict and \unrestrict have a random word, which differs between two dumps.
        return "\n".join(line for line in stream.read().decode().splitlines() if "restrict " not in line)


def _dump(server: EmbeddedServer, database: str, into: IO[bytes] | gzip.GzipFile, *options: str) -> None:
    arguments = (f"--dbname={server.as_superuser(database)}", *options)
    with (
        tempfile.TemporaryFile() as stderr,
        server.program("pg_dump", *arguments, stdout=subprocess.PIPE, stderr=stderr) as process,
    ):
        assert process.stdout is not None  # noqa: S101  # a pipe, for mypy
        shutil.copyfileobj(process.stdout, into, CHUNK)
        if process.wait():
            raise BackupError(f"the database could not be read: {_first_error(stderr)}.")


def _pg_restore(server: EmbeddedServer, file: Path, *options: str) -> bytes:
    """Return the output of pg_restore for the backup."""
    with tempfile.TemporaryFile() as stderr, tempfile.TemporaryFile() as output:
        with server.program("pg_restore", *options, stdin=subprocess.PIPE, stdout=output, stderr=stderr) as process:
            assert process.stdin is not None  # noqa: S101  # a pipe, for mypy
            try:
                # A pg_restore that failed reads no more.
                with suppress(BrokenPipeError), gzip.open(file) as stream, process.stdin:
                    shutil.copyfileobj(stream, process.stdin, CHUNK)
            except BaseException:
                process.kill()
                raise
            if process.wait():
                raise BackupError(f"{file} could not be restored: {_first_error(stderr)}.")
        output.seek(0)
        return output.read()


def _revision(server: EmbeddedServer, file: Path) -> str:
    """Return the schema's revision in a backup."""
    rows = _pg_restore(server, file, "--data-only", "--table=alembic_version", "--file=-").decode().splitlines()
    for line, following in pairwise(rows):
        if line.startswith(f"COPY {VERSIONS} "):
            return following
    raise BackupError(f"{file} is not a backup of todo-api: it does not say which schema it has.")


@contextmanager
def _snapshot(server: EmbeddedServer) -> Iterator[tuple[Connection, str]]:
    with closing(psycopg2.connect(server.as_superuser())) as connection:
        connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
        if _query(connection, "SELECT to_regclass('public.alembic_version') IS NULL") == [(True,)]:
            raise BackupError("the database has no schema yet, and nothing to back up: todo-api migrate makes one.")
        yield connection, _query(connection, "SELECT pg_export_snapshot()")[0][0]


@contextmanager
def _connected(dsn: str) -> Iterator[Connection]:
    with closing(psycopg2.connect(dsn)) as connection:
        connection.autocommit = True
        yield connection


def _query(connection: Connection, statement: str) -> list[Any]:
    with closing(connection.cursor()) as cursor:
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []


@contextmanager
def _temporary_file(file: Path) -> Iterator[tuple[Path, IO[bytes]]]:
    """Yield a temporary file in the same folder, mode 0600."""
    descriptor, name = tempfile.mkstemp(prefix=f".{file.name[:100]}-", dir=file.parent)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            yield Path(name), stream
    finally:
        Path(name).unlink(missing_ok=True)


def _refuse_existing(file: Path, overwrite: bool) -> None:
    if file.is_dir():
        raise BackupError(f"{file} is a folder: name a file.")
    if file.exists() and not overwrite:
        raise BackupError(f"{file} exists: name another file, or add --overwrite.")


def _publish(made: Path, file: Path, overwrite: bool) -> None:
    """Give the backup its name. Without `overwrite` keep a file that took the name meanwhile.

    A file system without links cannot exclude that, but for a moment.
    """
    if not overwrite:
        try:
            os.link(made, file)
        except FileExistsError:
            _refuse_existing(file, overwrite)
        except OSError:
            _refuse_existing(file, overwrite)
            made.replace(file)
    else:
        made.replace(file)
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _first_error(stderr: IO[bytes]) -> str:
    stderr.seek(0)
    lines = [line for line in stderr.read().decode(errors="replace").splitlines() if "error: " in line]
    return lines[0].partition("error: ")[2].rstrip(".") if lines else "no reason given"


@contextmanager
def _backup_errors(file: Path) -> Iterator[None]:
    """Raise errors of disk and database as BackupError."""
    try:
        yield
    except OSError as error:
        raise BackupError(f"{file} cannot be written or read: {error.strerror}.") from error
    except psycopg2.Error as error:
        raise BackupError(
            f"the database refuses: {(str(error).strip().splitlines() or ['no reason given'])[0]}."
        ) from error
