"""Runs pytest in forks of one process that has imported the libraries: each run then starts in half the time.

It reads one JSON object a line: `arguments` of pytest, and the file for its `output`. It writes the process id, then the name of
each test that starts, then the exit code.
"""

import importlib
import json
import os
import sys

import pytest

LIBRARIES = (
    *(
        "alembic.command",
        "argon2",
        "connexion",
        "cryptography.hazmat.primitives.ciphers.aead",
        "flask",
        "httpx2",
        "jinja2",
    ),
    *("jsonschema_rs", "jwt", "markdown_it", "marshmallow", "orjson", "prometheus_client", "psycopg2.extras"),
    *("sqlalchemy.dialects.postgresql", "yaml"),
)


class Heartbeat:
    """Tells which test starts, so that one that never ends is known."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        os.write(self._pipe, f"{json.dumps(nodeid)}\n".encode())


def run(arguments: list[str], output: str) -> int:
    """Run pytest in a process group of its own and return its exit code, or minus the signal that ended it."""
    process = os.fork()
    if process == 0:
        os.setsid()
        pipe = os.dup(1)
        file = os.open(output, os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
        os.dup2(file, 1)
        os.dup2(file, 2)
        code = int(pytest.main(arguments, plugins=[Heartbeat(pipe)]))
        sys.stdout.flush()
        os._exit(code)
    print(process, flush=True)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def main() -> None:
    """Run what standard input asks for."""
    for name in LIBRARIES:
        importlib.import_module(name)
    for line in sys.stdin:
        print(run(**json.loads(line)), flush=True)


if __name__ == "__main__":
    main()
