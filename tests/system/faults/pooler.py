"""PgBouncer in transaction mode before the database of a stage."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from tests.support.live import free_port
from tests.system.faults.stage import Stage, until
from todo_api.embedded.os_user import SYSTEM_USER

SETTINGS = """
[databases]
todo = host={place} port=5432 dbname=todo user=todo

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 20
ignore_startup_parameters = extra_float_digits
logfile = {folder}/pgbouncer.log
"""


def program() -> str | None:
    """Return the path of PgBouncer. Debian puts it where only the PATH of administrators leads."""
    return shutil.which("pgbouncer", path=f"{os.defpath}:/usr/sbin")


class Pooler:
    """Runs as the user of the database, to whom alone its socket is open."""

    def __init__(self, place: str) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="faults-pooler-"))
        self.port = free_port()
        settings = self._folder / "pgbouncer.ini"
        settings.write_text(SETTINGS.format(place=place, port=self.port, folder=self._folder), encoding="utf-8")
        self._prefix: list[str] = []
        if os.geteuid() == 0:
            user = pwd.getpwnam(SYSTEM_USER)
            os.chown(self._folder, user.pw_uid, user.pw_gid)
            self._prefix = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
        self._start()

    def _start(self) -> None:
        found = program()
        assert found
        self._process = subprocess.Popen(
            [*self._prefix, found, "-q", self._folder / "pgbouncer.ini"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until(self._listens, "the pooler")

    def _listens(self) -> bool:

        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    def url(self, _: str) -> str:
        """Return the URL of the database through PgBouncer."""
        return f"postgresql://todo@127.0.0.1:{self.port}/todo?sslmode=disable"

    def restarted(self, _: Stage) -> float:
        """Killed hard and started again, three times."""
        for __ in range(3):
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(5)
            time.sleep(0.5)
            self._start()
            time.sleep(1.5)
        return time.monotonic()

    def close(self) -> None:
        """Ends it."""
        self._process.kill()
        self._process.wait(5)
        shutil.rmtree(self._folder, ignore_errors=True)
