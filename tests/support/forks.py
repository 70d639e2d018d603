"""`todo-api` in processes that find its modules imported and the contracts read: forks of one that has done so.

Each has more than a second of work less. What runs is what the command runs, with the arguments, environment, folder and streams that it
is given. `Live` and `run` start services and commands so. The tests of the start itself name the command, and get a process of it.

    test                          this program                   its fork
    Fork(...)       - request ->  fork()                   ->    main()
    pid, status    <- answers -   waitpid()               <-     its end
"""

import atexit
import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import IO, Any

MODULES = ("cli.main", "cli.database_commands", "cli.user_commands", "app", "server", "http", "provisioning.migrations")
LIBRARIES = ("alembic.command", "alembic.runtime.environment", "uvicorn.lifespan.on", "uvicorn.loops.asyncio")
REQUEST_BYTES = 1 << 16


class Fork:
    """One process, in a session of its own, as `subprocess.Popen` has it."""

    def __init__(self, arguments: list[str], cwd: Path, env: dict[str, str], streams: list[IO[Any]]) -> None:
        """`streams` are its stdin, stdout and stderr."""
        request = {"arguments": arguments, "cwd": str(cwd), "env": env}
        self._answers, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            socket.send_fds(
                _parent(), [json.dumps(request).encode()], [*(stream.fileno() for stream in streams), theirs.fileno()]
            )
        self.returncode: int | None = None
        self.pid: int = self._answer()

    def poll(self) -> int | None:
        """Its exit code, negative for a signal's number, once it has ended."""
        with suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The same, and waits for the end."""
        if self.returncode is None:
            try:
                self.returncode = self._answer(timeout)
            except (BlockingIOError, TimeoutError):
                raise subprocess.TimeoutExpired("todo-api", timeout or 0) from None
            self._answers.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _answer(self, timeout: float | None = None) -> int:
        self._answers.settimeout(timeout)
        content = self._answers.recv(REQUEST_BYTES)
        assert content, "the process that forks has ended"
        return int(content)


_started: list[socket.socket] = []
_starting = threading.Lock()


def _parent() -> socket.socket:
    """The way to the process that forks, which the first request starts."""
    with _starting:
        if not _started:
            _started.append(_start())
    return _started[0]


def _start() -> socket.socket:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    kept = {name: value for name, value in os.environ.items() if name.startswith("PYTHON")}
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-P", __file__, str(theirs.fileno())],
            env={"PATH": os.defpath, "LC_ALL": "C.UTF-8", **kept},
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            start_new_session=True,  # Ctrl-C is for the tests, which end it
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509  # it takes no lock
        )
    atexit.register(lambda: (ours.close(), process.wait()))
    return ours


class Parent:
    """The process that forks."""

    def __init__(self, requests: socket.socket) -> None:
        self._requests = requests
        self._answers: dict[int, socket.socket] = {}
        self._ended, told = os.pipe()
        for end in (self._ended, told):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(told)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._open = (self._ended, told)

    def run(self) -> dict[str, Any] | None:
        """Fork for each request. Return twice: in a fork with its request, and nothing once nobody asks any more."""
        while True:
            ready, _, _ = select.select([self._requests, self._ended], [], [])
            if self._ended in ready:
                os.read(self._ended, REQUEST_BYTES)
                self._tell_ends()
            if self._requests in ready:
                content, files, _, _ = socket.recv_fds(self._requests, REQUEST_BYTES, 4)
                if not content:
                    return None
                number = os.fork()
                if number == 0:
                    self._become(files[:3])
                    os.close(files[3])
                    request: dict[str, Any] = json.loads(content)
                    return request
                self._answers[number] = socket.socket(fileno=files[3])
                self._answers[number].send(str(number).encode())
                for file in files[:3]:
                    os.close(file)

    def _tell_ends(self) -> None:
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                with self._answers.pop(ended[0]) as answers, suppress(BrokenPipeError):
                    answers.send(str(os.waitstatus_to_exitcode(ended[1])).encode())

    def _become(self, streams: list[int]) -> None:
        """In the fork: leave everything of this process behind, and take the streams."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for end in self._open:
            os.close(end)
        for held in (self._requests, *self._answers.values()):
            held.close()
        for number, file in enumerate(streams):
            os.dup2(file, number)
            os.close(file)


def main() -> None:
    """Import and read once, and run a command in each fork."""
    command: Callable[[], int] = import_module("todo_api.cli.main").main
    for name in (*(f"todo_api.{name}" for name in MODULES), *LIBRARIES):
        import_module(name)
    contract, http = import_module("todo_api.contract"), import_module("todo_api.http")
    for path in (contract.TASK_API, contract.OPS_API):
        http.check_contract(path)  # which reads the files, and imports every handler
    gc.freeze()  # what is imported stays, and no fork looks through it
    request = Parent(socket.socket(fileno=int(sys.argv[1]))).run()
    if request is None:
        os._exit(0)
    os.setsid()
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    time.tzset()
    sys.argv = request["arguments"]
    try:
        sys.exit(command())
    except SystemExit as ended:
        _end(ended.code)
    except BaseException:
        traceback.print_exc()
        _end(1)


def _end(code: Any) -> None:
    """End as an interpreter does, but leave the memory to the kernel: to clear it away takes half a second."""
    if isinstance(code, str):
        print(code, file=sys.stderr)
    threading._shutdown()  # type: ignore[attr-defined]  # waits for threads
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code if isinstance(code, int) else 0 if code is None else 1)


if __name__ == "__main__":
    main()
