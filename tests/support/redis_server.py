"""Debian's redis-server for tests: in a process of its own, on a port of its own, keeping nothing."""

import signal
import socket
import subprocess
import time
from typing import Any

from tests.support.live import SLACK, free_port
from tests.support.programs import program


class RedisServer:
    """Ended, whatever happens, by leaving the `with`. It can be stopped and started again on the same port, and made to hang."""

    def __init__(self) -> None:
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        """Its process, once it was started."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> "RedisServer":
        """Itself, once it takes connections. Without the program, the test is skipped."""
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen(
            [program("redis-server"), *options],
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + SLACK
        while time.monotonic() < deadline:
            try:
                if self.command(b"PING") == b"+PONG\r\n":
                    return self
            except OSError:
                time.sleep(0.02)
        raise AssertionError("redis-server does not answer")

    def command(self, line: bytes) -> bytes:
        """The first bytes of what it answers."""
        with socket.create_connection(("127.0.0.1", self.port), SLACK) as connection:
            connection.sendall(line + b"\r\n")
            return connection.recv(1 << 16)

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait(SLACK)
            self._process = None

    def hang(self) -> None:
        """Freeze the server: it keeps connections and accepts new ones, but answers none."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def __enter__(self) -> "RedisServer":
        return self

    def __exit__(self, *_: Any) -> None:
        self.stop()
