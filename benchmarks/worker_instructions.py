"""What a request costs a worker in instructions, the same on a busy machine as on a quiet one.

`PYTHONPATH=. .venv/bin/python benchmarks/worker_instructions.py`, with valgrind: one worker, one connection, one request after the other.
What the worker takes of itself in that time, by its timers, is counted while nobody asks, and taken off.
"""

import argparse
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path

import psutil

from closed_loop import OPERATIONS, owners, requests
from prepare import SECRET, databases, postgresql

PATIENCE = 200
"""Seconds until the service answers: valgrind makes its start slow, and all of it fifty times as slow once it counts."""

WARMUP, IDLE = 40, 4
"""Requests of each kind that are not counted, and seconds for which nobody asks."""


class Counted:
    """A worker under callgrind."""

    def __init__(self, process: int, folder: Path) -> None:
        self._process, self._folder = process, folder
        self._control("--instr=on")
        self._dumps = 0

    def begin(self) -> None:
        """Count from now on."""
        self._control("--zero")
        self._began = time.monotonic()

    def end(self) -> tuple[int, float]:
        """The instructions and the seconds since then."""
        seconds = time.monotonic() - self._began
        self._control("--dump")
        self._dumps += 1
        text = (self._folder / f"callgrind.{self._process}.{self._dumps}").read_text("latin-1")
        found = re.search(r"^(?:summary|totals): (\d+)", text, re.MULTILINE)
        if found is None:
            raise SystemExit("The worker did not tell what it took.")
        return int(found[1]), seconds

    def _control(self, option: str) -> None:
        command = ["callgrind_control", option, str(self._process)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    """Print a table for docs/benchmarks.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=60, help="of each kind (60)")
    count = parser.parse_args().requests
    with tempfile.TemporaryDirectory(prefix="instructions-") as name:
        folder = Path(name)
        options = Namespace(users=3, tasks=200)
        with (
            postgresql(folder / "postgresql") as url,
            databases(url, ["ours"], owners(options)) as data,
            _service(data.urls["ours"], folder) as (connection, master),
        ):
            texts = {kind: cycle(each) for kind, each in requests(options, data.sample).items()}

            def ask(kind: str, number: int) -> None:
                for _ in range(number):
                    _ask(connection, next(texts[kind]))

            for kind in OPERATIONS:
                ask(kind, WARMUP)
            counted = Counted(psutil.Process(master).children()[0].pid, folder)
            counted.begin()
            time.sleep(IDLE)
            of_itself, seconds = counted.end()
            print("| request | thousands of instructions |\n|---|---:|")
            for kind in OPERATIONS:
                ask(kind, WARMUP // 4)
                counted.begin()
                ask(kind, count)
                spent, waited = counted.end()
                print(f"| {kind} | {(spent - of_itself * waited / seconds) / count / 1000:.0f} |", flush=True)


@contextmanager
def _service(url: str, folder: Path) -> Iterator[tuple[socket.socket, int]]:
    """A connection to the service under callgrind, and the process of its master."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("JWT_", "PYTHON"))}
    environment |= {"DATABASE_URL": url, "JWT_SECRET": SECRET, "WEB_CONCURRENCY": "1", "PYTHONHASHSEED": "0"}
    environment |= {"RATE_LIMIT": "9999999/second", "QUEUE_LIMIT": "10000"}
    command = ["valgrind", "--tool=callgrind", "--trace-children=yes", "--instr-atstart=no"]
    command += [f"--callgrind-out-file={folder}/callgrind.%p", sys.executable]
    command += [str(Path(sys.executable).with_name("todo-api")), "serve", "--port", str(port)]
    with (folder / "log").open("wb") as log:
        master = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        connection = _connect(port)
        yield connection, master.pid
        connection.close()
    finally:
        for child in psutil.Process(master.pid).children(recursive=True):
            child.send_signal(signal.SIGKILL)
        master.kill()
        master.wait()


def _connect(port: int) -> socket.socket:
    until = time.monotonic() + PATIENCE
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.5)


def _ask(connection: socket.socket, text: str) -> None:
    """Send a request, and read its whole reply."""
    connection.sendall(text.encode())
    reply = b""
    while (found := re.search(rb"content-length: (\d+)[^\0]*?\r\n\r\n", reply)) is None:
        reply += connection.recv(65536)
    while len(reply) < found.end() + int(found[1]):
        reply += connection.recv(65536)
    if not reply.startswith(b"HTTP/1.1 2"):
        raise SystemExit(reply.decode())


if __name__ == "__main__":
    main()
