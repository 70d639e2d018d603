"""Podman, from Debian, in place of Docker: images and containers in a folder of the test's, and nothing from a registry."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.pages import ROOT

CONFINED = ("--read-only", "--read-only-tmpfs=false", "--cap-drop=all", "--security-opt=no-new-privileges")
ULIMITS = {"nofile": 1024, "nproc": 4096}
"""Podman's own may be more than it is itself allowed."""

LIMITS = tuple(f"--ulimit={name}={most}:{most}" for name, most in ULIMITS.items())
PATIENCE = 600


class Engine:
    """podman, with its images and containers in a folder of ours."""

    def __init__(self, folder: Path) -> None:
        self.command = [
            *("podman", "--root", str(folder / "store"), "--runroot", str(folder / "run")),
            *("--cgroup-manager", "cgroupfs", "--runtime", "runc", "--events-backend", "none"),
        ]

    def __call__(self, *arguments: str | Path, check: bool = True) -> "subprocess.CompletedProcess[str]":
        command = [*self.command, *arguments]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=PATIENCE)
        assert done.returncode == 0 or not check, done.stdout + done.stderr
        return done

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Return what a command in a container of the image says."""
        return self("run", "--rm", "--no-healthcheck", *CONFINED, *LIMITS, "--network=host", *arguments, check=False)

    @contextmanager
    def service(self, socket: Path) -> Iterator[Path]:
        """Serve what Docker's own tools speak to, at that socket."""
        process = subprocess.Popen(
            [*self.command, "system", "service", "--time=0", f"unix://{socket}"], stderr=subprocess.DEVNULL
        )
        try:
            deadline = time.monotonic() + PATIENCE
            while not socket.exists() and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.1)
            yield socket
        finally:
            process.terminate()
            process.wait(PATIENCE)
