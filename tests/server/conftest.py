"""What the tests of the running server share."""

import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.support.processes import postmasters


@pytest.fixture
def folder() -> Iterator[Path]:
    """A private working folder, not pytest's, whose modes other runs of pytest reset. Its PostgreSQL ends with the test."""
    above = Path(tempfile.mkdtemp(prefix="test-serve-"))
    yield above
    for process in postmasters(above):
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGQUIT)
            process.wait(10)
    shutil.rmtree(above)
