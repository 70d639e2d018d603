"""Processes that tests start: which there are, and which are gone."""

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

from tests.support.live import SLACK, run


def postmasters(folder: Path) -> list[psutil.Process]:
    """The PostgreSQL servers whose data are below the folder."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.name() == "postgres" and f"{folder}/" in "".join(process.cmdline()[2:3]):
                found.append(process)
    return found


def kill_database(folder: Path) -> None:
    """Kill every process of the PostgreSQL servers whose data are below the folder."""
    for master in postmasters(folder):
        with suppress(psutil.NoSuchProcess):
            for process in [master, *master.children()]:
                process.kill()


def gone(number: int) -> bool:
    try:
        return psutil.Process(number).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def soon(condition: Callable[[], bool], seconds: float = SLACK) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def own_token(folder: Path) -> str:
    return run("token", "ada", cwd=folder).stdout.strip()
