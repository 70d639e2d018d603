"""The Better Auth server of the tests, from npm, in a process of its own."""

import os
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "system" / "better-auth"


@contextmanager
def better_auth(**settings: str) -> Iterator[str]:
    """Run the server, and yield its origin."""
    process = subprocess.Popen(
        ["node", "server.js"],
        cwd=FOLDER,
        env={"PATH": os.environ["PATH"], "BETTER_AUTH_SECRET": secrets.token_urlsafe(48), **settings},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.communicate(timeout=20)
