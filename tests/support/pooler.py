"""Debian's pgbouncer for tests: in transaction mode, with a process and a port of its own, before an embedded PostgreSQL."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from sqlalchemy.engine import make_url

from tests.support.databases import patient
from tests.support.live import SLACK, free_port
from tests.support.programs import program

SESSIONS = 4
"""Number of connections to PostgreSQL for each database. Each transaction gets the next one, whoever sends it."""

SETTINGS = """
[databases]
* = host={folder} port={port} user=todo
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = users.txt
pool_mode = transaction
default_pool_size = {sessions}
server_round_robin = 1
server_login_retry = 1
max_client_conn = 400
"""


class Pooler:
    """Ended, whatever happens, by leaving the `with`. It can be stopped and started again on the same port."""

    def __init__(self, url: str) -> None:
        """`url` is that of an embedded database, as whose owner it runs, since that one alone reaches the socket."""
        target = make_url(url)
        place = str(target.query["host"])
        self._owner = Path(place).stat().st_uid
        self._folder = Path(tempfile.mkdtemp(prefix="test-pooler-"))
        self.port = free_port()
        written = SETTINGS.format(folder=place, port=target.query["port"], listen=self.port, sessions=SESSIONS)
        (self._folder / "pgbouncer.ini").write_text(written)
        (self._folder / "users.txt").write_text('"todo" "of the tests"\n')
        for path in (self._folder, *self._folder.iterdir()):
            os.chown(path, self._owner, -1)
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, url: str) -> str:
        """The way to the same database through the pooler."""
        given = {"username": "todo", "password": "of the tests", "host": "127.0.0.1", "port": self.port, "query": {}}
        return patient(make_url(url).set(**given).render_as_string(hide_password=False))

    @property
    def pid(self) -> int:
        """Its process, once it was started."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> "Pooler":
        """Itself, once it takes connections. Without the program, the test is skipped."""
        user = self._owner if os.geteuid() == 0 else None
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self._process = subprocess.Popen([program("pgbouncer"), "pgbouncer.ini"], cwd=self._folder, user=user, **quiet)
        deadline = time.monotonic() + SLACK
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), SLACK).close()
            except OSError:
                time.sleep(0.02)
            else:
                return self
        raise AssertionError("pgbouncer does not take connections")

    def stop(self) -> None:
        """Ends it hard, and its connections with it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(SLACK)
            self._process = None

    def __enter__(self) -> "Pooler":
        return self.start()

    def __exit__(self, *_: Any) -> None:
        self.stop()
        shutil.rmtree(self._folder)
