"""Caddy in front of a service: Debian's, with a configuration of the examples."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

from tests.support.processes import soon


@contextmanager
def caddy(config: Path, origin: str, root: Path | None = None, **settings: str) -> Iterator[requests.Session]:
    """Run Caddy until it answers at the origin, and yield a session that trusts the certificate of its making, if it has one."""
    folder = config.parent
    process = subprocess.Popen(
        ["caddy", "run", "--config", config, "--adapter", "caddyfile"],
        env={
            "PATH": os.defpath,
            "HOME": str(folder),
            "XDG_DATA_HOME": str(folder / "data"),
            "XDG_CONFIG_HOME": str(folder / "config"),
            **settings,
        },
        stderr=subprocess.DEVNULL,
    )
    try:
        with requests.Session() as session:
            session.trust_env = False
            if root is not None:
                assert soon(root.exists)
                session.verify = str(root)
            assert soon(lambda: _answers(session, f"{origin}/"))
            yield session
    finally:
        process.terminate()
        process.wait(30)


def _answers(session: requests.Session, address: str) -> bool:
    try:
        return session.get(address, timeout=5).ok
    except requests.ConnectionError:
        return False
