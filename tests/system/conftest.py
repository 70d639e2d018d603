"""Fixtures that tests of whole services share."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.backups import backed_up, migrated_server
from todo_api.embedded import EmbeddedServer


@pytest.fixture(scope="module")
def source() -> Iterator[EmbeddedServer]:
    """A server with a migrated database, in which each test leaves something."""
    with migrated_server() as server:
        yield server


@pytest.fixture(scope="module")
def whole(source: EmbeddedServer) -> Iterator[bytes]:
    """What a backup has in it."""
    with tempfile.TemporaryDirectory() as folder:
        yield backed_up(source, Path(folder) / "whole").read_bytes()
