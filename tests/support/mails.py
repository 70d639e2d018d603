"""Mails of a database: asked for over HTTP, waiting in the outbox, and sent when a test says so."""

from collections.abc import Callable
from typing import Any

from tests.support.client import Client
from tests.support.on_loop import run_until_complete
from tests.support.rows import rows
from tests.support.settings import MAIL_FROM
from todo_api.accounts import recovery
from todo_api.config import SmtpServer
from todo_api.database import Database
from todo_api.mail import Messages, Sender

REQUEST = "/api/v1/auth/password-reset/request"
PAGE = "https://app.example.com/reset#{token}"
VERIFY_PAGE = "https://app.example.com/verify#{token}"
LINKS: dict[str, str | None] = {"reset": PAGE, "registered": PAGE, "verify": VERIFY_PAGE}

Send = Callable[..., None]
"""Send what is due, by the server at a port of this machine."""


def sending(database: Database) -> Send:
    """Return what sends the mails of this database. Further arguments are those of `SmtpServer`."""

    def send(port: int, **more: Any) -> None:
        server = SmtpServer("127.0.0.1", port, **{"tls": "off"} | more)
        sender = Sender(
            database, server, Messages(MAIL_FROM, LINKS), lambda *what: recovery.mail_content(database, *what)
        )
        run_until_complete(sender.send_due())

    return send


def request(client: Client, email: str, **headers: str) -> None:
    """Ask for a mail to reset the password."""
    reply = client.signed_in(None).post(REQUEST, {"email": email}, headers=headers)
    assert (reply.status, reply.body) == (202, b"")


def waiting(url: str) -> list[Any]:
    """Return what waits to be sent."""
    return rows(url, "SELECT email, purpose, attempts FROM outbox ORDER BY 1")


def make_due(url: str) -> None:
    """Make what was put off due, as if the time had passed."""
    rows(url, "UPDATE outbox SET next_attempt_at = now()")
