"""A service with a mail server, whose mails are sent when a test says so."""

from collections.abc import Callable

import pytest

from tests.support.client import Client
from tests.support.mails import Send, sending
from tests.support.rows import rows
from tests.support.settings import with_mail
from tests.support.smtp import Mailbox
from todo_api.config import Config
from todo_api.database import Database


@pytest.fixture(scope="module")
def anonymous(url: str, new_client: Callable[[Config], Client]) -> Client:
    """A client of a service that has a mail server. Its own sender does not run: the tests send."""
    return new_client(with_mail(url, rate_limit="off"))


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox()


@pytest.fixture
def send(database: Database, url: str) -> Send:
    """Sends what is due by a server at that port."""
    rows(url, "DELETE FROM outbox")
    return sending(database)
