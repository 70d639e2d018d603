"""The service under test with its database, in a folder of its own, and how each of them is started, stopped and hurt."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import psycopg2

from tests.support.credentials import SECRET
from tests.support.databases import execute
from tests.support.live import COMMAND, Wire, environment, free_port
from todo_api.auth.tokens import TokenIssuer
from todo_api.embedded import EmbeddedServer

WORKERS = 2
PATIENCE = 30
"""Seconds that a start or a stop may take."""


def until(condition: Callable[[], Any], what: str, seconds: float = PATIENCE) -> None:
    """Waits. Raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.02)


def token(user: str) -> str:
    """A token of the service's that outlasts the run."""
    issuer = TokenIssuer(secret=SECRET, issuer="task-api", audience="task-api", lifetime=7200)
    return issuer.issue(user)


class Stage:
    """`todo-api serve` with its embedded database, or on the URL of the same database by another way."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.log = folder / "service.log"
        self.url: str | None = None
        self._options = options
        self._data = folder / "data"
        self._process: subprocess.Popen[bytes] | None = None
        self._groups: set[int] = set()
        self._share: EmbeddedServer | None = None

    @property
    def cluster(self) -> Path:
        """The folder of PostgreSQL's data."""
        return self._data / "postgresql" / "cluster"

    def start(self, **settings: str) -> None:
        """Starts the service, and returns when it is ready."""
        if self.url:
            settings["DATABASE_URL"] = self.url
        fixed = {
            "JWT_SECRET": SECRET,
            "LOG_FORMAT": "json",
            "RATE_LIMIT": "off",
            "DATA_DIR": str(self._data),
        } | settings
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [COMMAND, "serve", "--workers", str(WORKERS), *self._options],
                cwd=self.folder,
                env=environment(self.folder, PORT=str(self.port), **fixed),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._groups.add(self._process.pid)
        until(self.is_ready, f"ready: {self.log.read_text(encoding='utf-8')[-2000:]}")
        until(lambda: len(self.workers()) == WORKERS, "workers")

    def stop(self) -> float:
        """SIGTERM. Returns the seconds that the end took."""
        began = time.monotonic()
        master = self.master()
        master.terminate()
        if self._process and self._process.pid == master.pid:
            self._process.wait(PATIENCE)
        until(lambda: not self._members(), "the end of the service")
        return time.monotonic() - began

    def is_ready(self) -> bool:
        """Return whether `/health/ready` answers 200."""
        if self._process and self._process.poll() not in (None, 0):
            raise RuntimeError(f"the service has ended: {self.log.read_text(encoding='utf-8')[-2000:]}")
        with suppress(OSError, ConnectionError, IndexError):
            return self.get("/health/ready")[0] == 200
        return False

    def get(self, path: str) -> tuple[int, bytes]:
        """Status and body of one request on a connection of its own."""
        with Wire(self.port) as wire:
            wire.socket.settimeout(5)
            wire.send(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            reply = wire.reply()
            return reply.status, reply.body

    def _members(self) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error, ProcessLookupError):
                if os.getpgid(process.pid) in self._groups and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def master(self) -> psutil.Process:
        """The process that the workers are children of."""
        members = self._members()
        numbers = {process.pid for process in members}
        tops = [process for process in members if process.ppid() not in numbers]
        assert len(tops) == 1, tops
        return tops[0]

    def workers(self) -> list[psutil.Process]:
        """The workers, oldest first."""
        with suppress(psutil.Error):
            children = self.master().children()
            return sorted(
                (it for it in children if it.status() != psutil.STATUS_ZOMBIE), key=lambda it: it.create_time()
            )
        return []

    def postgres(self) -> list[psutil.Process]:
        """The processes of the database, the postmaster first."""
        try:
            master = psutil.Process(int((self.cluster / "postmaster.pid").read_text(encoding="utf-8").split()[0]))
            return [master, *master.children()] if master.name() == "postgres" else []
        except (OSError, IndexError, psutil.Error):
            return []

    def direct(self) -> str:
        """The URL of the database by its socket."""
        place = (self.cluster / "postmaster.pid").read_text(encoding="utf-8").splitlines()[4]
        return f"postgresql://postgres@/todo?host={place}&port=5432"

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        """Runs a statement as the superuser."""
        return execute(self.direct(), statement)

    @contextmanager
    def session(self) -> Iterator[Any]:
        """A session of the superuser's, in a transaction."""
        with closing(psycopg2.connect(self.direct())) as connection, connection.cursor() as cursor:
            yield cursor

    def database_answers(self) -> bool:
        """Return whether the database accepts connections."""
        try:
            return self.sql("SELECT 1") == [(1,)]
        except (OSError, IndexError, psycopg2.Error):
            return False

    def switch(self, url: Callable[[str], str] | None) -> None:
        """Restarts the service on another way to the same database; None is its own, embedded.

        `url` is told the folder of the database's socket. The database runs on meanwhile, kept by this process.
        """
        if self._share is None:
            self._share = EmbeddedServer.start(self._data / "postgresql")
        self.stop()
        if url is None:
            self._share.stop()
            self._share, self.url = None, None
        else:
            self.url = url((self.cluster / "postmaster.pid").read_text(encoding="utf-8").splitlines()[4])
        self.start()

    def end(self) -> None:
        """Ends whatever is left, hard."""
        for process in [*self._members(), *self.postgres()]:
            with suppress(psutil.Error):
                process.send_signal(signal.SIGCONT)
                process.kill()
        if self._share:
            with suppress(Exception):
                self._share.stop()


def next_release(folder: Path, root: Path, migration: str) -> list[str]:
    """The command of a release that has one migration more: a copy of this one in `folder`."""
    for name in ("todo_api", "openapi", "migrations"):
        shutil.copytree(root / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "migrations" / "versions" / "9000_of_the_faults.py").write_text(migration, encoding="utf-8")
    program = "from todo_api.cli.main import main; import sys; sys.exit(main(sys.argv[1:]))"
    return [sys.executable, "-c", program]
