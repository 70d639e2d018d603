"""The real server for tests: `todo-api` in processes of its own, and a wire to it that sends exactly the bytes it is told to."""

import fcntl
import itertools
import os
import random
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import IO, Any

from tests.support.client import Reply
from tests.support.discretion import RUN
from tests.support.forks import Fork

COMMAND = Path(sys.executable).with_name("todo-api")
SLACK = 180
"""Seconds that anything may take on a busy machine before it counts as failed."""


def environment(folder: Path, **settings: str) -> dict[str, str]:
    """Return the environment of a command: the settings, the place of its code and what measures coverage, nothing else of ours."""
    ours = {
        name: value
        for name, value in os.environ.items()
        if name.startswith("COVERAGE_") or name in ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE")
    }
    return {"PATH": os.defpath, "HOME": str(folder), "LC_ALL": "C.UTF-8", **ours, **settings}


def run(*arguments: str, cwd: Path, command: Path | None = None, **settings: str) -> "subprocess.CompletedProcess[str]":
    """A command of the command line that ends by itself."""
    RUN.given(settings)
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        process = _start([*arguments], command, (), cwd, environment(cwd, **settings), (stdout, stderr))
        try:
            process.wait(SLACK)
        finally:
            process.kill()
        said = [os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0).decode() for file in (stdout, stderr)]
    done = subprocess.CompletedProcess([*arguments], process.wait(SLACK), *said)
    if arguments[:1] == ("token",):
        RUN.secret("authorization", done.stdout.strip())
    RUN.text("stderr", done.stderr)
    return done


def refusal(*arguments: str, cwd: Path, **settings: str) -> str:
    """The one line with which a command refuses, without its `todo-api: `."""
    done = run(*arguments, cwd=cwd, **settings)
    assert (done.returncode, done.stdout) == (1, ""), done
    (line,) = done.stderr.splitlines()
    assert line.startswith("todo-api: "), line
    return line.removeprefix("todo-api: ")


def interruptible() -> None:
    """In a child before it begins: SIGINT ends it, also where the shell ignores that, as it does for a job in the background."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _start(
    arguments: list[str],
    command: Path | None,
    prefix: Iterable[str],
    cwd: Path,
    env: dict[str, str],
    output: tuple[IO[bytes], IO[bytes]],
) -> "Fork | subprocess.Popen[bytes]":
    """`todo-api` with these arguments, in a session of its own: a fork, unless it is to begin from nothing."""
    same_code = all(env[name] == os.environ.get(name) for name in env if name.startswith("PYTHON"))
    is_measured = any(name.startswith("COVERAGE_") for name in env)
    if command is None and not prefix and same_code and not is_measured:
        with Path(os.devnull).open() as nothing:
            return Fork([str(COMMAND), *arguments], cwd, env, [nothing, *output])
    return subprocess.Popen(
        [*prefix, command or COMMAND, *arguments],
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=output[0],
        stderr=output[1],
        start_new_session=True,
        preexec_fn=interruptible,  # noqa: PLW1509  # it takes no lock
    )


PORTS = range(15_000, 31_000)
"""Ports of the loopback below those that the kernel gives to whoever connects."""

_CLAIMS = Path(tempfile.gettempdir()) / f"todo-api-tests-ports-{os.getuid()}"
"""A file whose byte N is locked by the process that was given the port N."""

_candidates = itertools.cycle(random.sample(PORTS, len(PORTS)))


@cache
def _claims() -> IO[bytes]:
    """The file, open as long as this process lives: to close it would let go of every lock."""
    return _CLAIMS.open("ab")


def free_port() -> int:
    """Return a port of the loopback that nobody listens on, nor is about to: no other test of any run is given it."""
    while True:
        port = next(_candidates)
        with socket.socket() as probe, suppress(OSError):
            fcntl.lockf(_claims(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
            probe.bind(("127.0.0.1", port))
            return port


class Live:
    """`todo-api serve` in a process of its own. Ended, whatever happens, by leaving the `with`."""

    def __init__(
        self,
        folder: Path,
        *options: str,
        command: Path | None = None,
        prefix: Iterable[str] = (),
        **settings: str,
    ) -> None:
        """Starts in `folder`; does not wait. With a command or a prefix it is a process that begins from nothing."""
        RUN.given(settings)
        self.port = free_port()
        self.began = time.monotonic()
        self._log = tempfile.TemporaryFile("w+b")  # noqa: SIM115  # closed by __exit__
        env = environment(folder, PORT=str(self.port), WEB_CONCURRENCY="1", **settings)
        self.process = _start(["serve", *options], command, prefix, folder, env, (self._log, self._log))

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def output(self) -> str:
        """Everything it has said so far."""
        return os.pread(self._log.fileno(), 1 << 20, 0).decode()

    def workers(self) -> list[int]:
        """The process ids of the workers it has told of, once there are some: it may tell of them after it answers."""
        deadline = time.monotonic() + SLACK
        while (
            not (told := re.findall(r"Booting worker with pid: (\d+)", self.output())) and time.monotonic() < deadline
        ):
            time.sleep(0.01)
        return [int(number) for number in told]

    def ready(self) -> "Live":
        """Itself, once `/health/ready` has answered 200."""
        deadline = time.monotonic() + SLACK
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                if self.request("GET", "/health/ready").status == 200:
                    return self
            except OSError:
                time.sleep(0.03)
        raise AssertionError(f"not ready: {self.output()}")

    def wire(self, source: str = "127.0.0.1") -> "Wire":
        """A new connection, from that address of the loopback."""
        return Wire(self.port, source)

    def request(self, method: str, path: str, body: bytes = b"", *fields: str, token: str = "") -> Reply:
        """One request on a connection of its own."""
        sent = [f"{method} {path} HTTP/1.1", "Host: localhost", *fields]
        if token:
            sent.append(f"Authorization: Bearer {token}")
        if body:
            sent += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        with self.wire() as wire:
            wire.send("\r\n".join([*sent, "", ""]).encode("latin-1") + body)
            return wire.reply(method)

    def end(self, by: signal.Signals = signal.SIGTERM) -> int:
        """Its exit code; negative for a signal's number."""
        if self.process.poll() is None:
            self.process.send_signal(by)
        return self.process.wait(SLACK)

    def __enter__(self) -> "Live":
        return self

    def __exit__(self, *_: Any) -> None:
        try:
            self.end()
        except subprocess.TimeoutExpired:
            self.end(signal.SIGKILL)
            raise
        finally:
            RUN.text(
                "log", os.pread(self._log.fileno(), os.fstat(self._log.fileno()).st_size, 0).decode(errors="replace")
            )
            self._log.close()


class Wire:
    """One connection: bytes out, replies in, one after another."""

    def __init__(self, port: int, source: str = "127.0.0.1") -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), SLACK, source_address=(source, 0))
        if (
            self.socket.getsockname() == self.socket.getpeername()
        ):  # nobody listens, and the system chose this very port
            self.socket.close()
            raise ConnectionRefusedError("the connection met itself")
        self._read = b""

    def send(self, content: bytes) -> None:
        RUN.sent_bytes(content)
        self.socket.sendall(content)

    def reply(self, method: str = "GET") -> Reply:
        """The next reply to a request with that method. Raises ConnectionError where the connection ends instead."""
        head = self._until(b"\r\n\r\n")
        status_line, *lines = head.split(b"\r\n")
        status = int(status_line.split(b" ")[1])
        headers = [(name.lower(), value.strip()) for name, _, value in (line.partition(b":") for line in lines)]
        named = dict(headers)
        body = b""
        if method == "HEAD" or status in (100, 204, 304):
            pass
        elif b"transfer-encoding" in named:
            while size := int(self._until(b"\r\n"), 16):
                body += self._take(size + 2)[:-2]
            self._until(b"\r\n")
        else:
            body = self._take(int(named[b"content-length"]))
        reply = Reply(status, headers, body)
        RUN.received(status, reply.header_list, body)
        return reply

    def is_closed(self) -> bool:
        """Return whether the server closes the connection without another byte."""
        return not self._read and not self._receive()

    def reset(self) -> None:
        """Leaves so that the server learns of it at once: an ordinary close looks to it as a client that still reads."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def _until(self, end: bytes) -> bytes:
        while end not in self._read:
            self._more()
        found, _, self._read = self._read.partition(end)
        return found

    def _take(self, size: int) -> bytes:
        while len(self._read) < size:
            self._more()
        taken, self._read = self._read[:size], self._read[size:]
        return taken

    def _more(self) -> None:
        content = self._receive()
        if not content:
            raise ConnectionError(f"the connection ended after {self._read!r}")
        self._read += content

    def _receive(self) -> bytes:
        return self.socket.recv(65536)

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *_: Any) -> None:
        self.socket.close()
