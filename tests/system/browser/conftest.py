"""One Chromium for each process of the run, which each test finds as new, and a service for each file."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver import Chrome

from tests.support.browser import chromium, foreign, forget, requested
from tests.support.credentials import SECRET
from tests.support.live import Live

MAIL = {"SMTP_URL": "smtp://127.0.0.1:1?tls=off", "MAIL_FROM": "no-reply@example.com"}


@pytest.fixture(scope="session")
def chrome() -> Iterator[Chrome]:
    """The Chromium of the process."""
    with chromium() as chrome:
        yield chrome


@pytest.fixture
def browser(chrome: Chrome) -> Iterator[Chrome]:
    """A Chromium that knows nothing of another test. Whatever its pages ask for is on this machine."""
    forget(chrome)
    yield chrome
    assert foreign(requested(chrome)) == []


@pytest.fixture(scope="module")
def service(url: str) -> Iterator[str]:
    """The origin of a running service."""
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        Live(Path(folder), DATABASE_URL=url, JWT_SECRET=SECRET, **MAIL) as live,
    ):
        yield live.ready().origin
