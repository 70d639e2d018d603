"""Accounts of a service that requires verified e-mail addresses: registered, verified, and what a request to it is worth."""

from typing import Any, NamedTuple

from tests.support.client import Client, Reply
from tests.support.credentials import PASSWORD
from tests.support.mails import Send, make_due, waiting
from tests.support.rows import rows
from tests.support.settings import with_mail
from tests.support.smtp import Mailbox, smtp_server, token_of
from todo_api.config import Config

AUTH = "/api/v1/auth"
REGISTER = f"{AUTH}/register"
SIGN_IN = f"{AUTH}/token"
VERIFY = f"{AUTH}/email-verification"
ASK = f"{AUTH}/email-verification/request"
RESET = f"{AUTH}/password-reset"
ACCOUNT = "/api/v1/me/account"
OTHER = "a password of somebody else"
NEW = "a ship in port is safe"
SAME_ID = {"X-Request-ID": "the-same"}


def config(url: str, **more: Any) -> Config:
    return with_mail(url, **{"email_verification": "required", "rate_limit": "off"} | more)


class Mails(NamedTuple):
    """The mails of the service, sent when a test asks for the next ones."""

    url: str
    send: Send

    def next(self) -> list[Any]:
        """Send what waits, and return it."""
        mailbox = Mailbox()
        make_due(self.url)
        with smtp_server(mailbox) as port:
            self.send(port)
        assert waiting(self.url) == []
        return mailbox.messages

    def token(self) -> str:
        """Send the one mail that waits, and return its token."""
        (message,) = self.next()
        return token_of(message)


def register(client: Client, email: str, password: str = PASSWORD, **headers: str) -> Reply:
    return client.post(REGISTER, {"email": email, "password": password, "name": "Ada"}, headers=headers)


def sign_in(client: Client, email: str, password: str = PASSWORD) -> Reply:
    return client.post(SIGN_IN, {"email": email, "password": password})


def registered(client: Client, email: str, password: str = PASSWORD) -> None:
    reply = register(client, email, password)
    assert (reply.status, reply.body, reply.headers["cache-control"]) == (202, b"", "no-store")
    assert "location" not in reply.headers


def verified(client: Client, mails: Mails, email: str, password: str = PASSWORD) -> Client:
    """A client of an account that is verified and signed in."""
    registered(client, email, password)
    assert client.post(VERIFY, {"token": mails.token()}).status == 204
    return client.signed_in(sign_in(client, email, password).json()["access_token"])


def assert_invalid(reply: Reply) -> None:
    assert (reply.status, reply.code) == (400, "invalid_one_time_token")


def state(url: str, email: str) -> tuple[bool, bool]:
    """Return whether the account is verified, and whether it was registered again."""
    ((is_verified, again),) = rows(
        url, f"SELECT email_verified_at IS NOT NULL, registered_again FROM accounts WHERE email = '{email}'"
    )
    return is_verified, again


def told(reply: Reply) -> Any:
    return reply.status, reply.body, sorted(reply.header_list)


class Work(NamedTuple):
    """The work of a request: its statements by role, and its hashing of passwords."""

    statements: list[str]
    hashing: list[str]
