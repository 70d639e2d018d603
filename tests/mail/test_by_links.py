"""A user who has nothing but a mailbox: `todo-api serve` and a mail server with STARTTLS, from registering to a new password."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import orjson
import pytest

from tests.support.client import Reply
from tests.support.credentials import PASSWORD, SECRET
from tests.support.live import Live
from tests.support.processes import soon
from tests.support.settings import MAIL_FROM
from tests.support.smtp import Mailbox, certificate, smtp_server, text_of

AUTH = "/api/v1/auth"
NEW = "a ship in port is safe"
VERIFY_PAGE = "https://app.example.com/verify#"
RESET_PAGE = "https://app.example.com/reset#"


@pytest.fixture
def service(url: str, tmp_path: Path, mailbox: Mailbox) -> Iterator[Live]:
    """A service that requires verified addresses and speaks to its mail server by STARTTLS alone."""
    ca_file, context = certificate(tmp_path)
    with smtp_server(mailbox, tls_context=context, require_starttls=True) as port:
        settings = {
            "DATABASE_URL": url,
            "JWT_SECRET": SECRET,
            "SMTP_URL": f"smtp://127.0.0.1:{port}",
            "SMTP_CA_FILE": str(ca_file),
            "MAIL_FROM": MAIL_FROM,
            "EMAIL_VERIFICATION": "required",
            "EMAIL_VERIFICATION_URL": f"{VERIFY_PAGE}{{token}}",
            "PASSWORD_RESET_URL": f"{RESET_PAGE}{{token}}",
        }
        with Live(tmp_path, **settings) as live:
            yield live.ready()


def post(service: Live, path: str, **members: Any) -> Reply:
    """Send a request without a token, on a connection of its own."""
    return service.request("POST", AUTH + path, orjson.dumps(members))


def follow(mailbox: Mailbox, number: int, page: str) -> str:
    """Wait for a mail of that number, and return the token that the page gets from its link."""
    assert soon(lambda: len(mailbox.messages) == number)
    text = text_of(mailbox.messages[-1])
    (link,) = (word for word in text.split() if word.startswith("https://"))
    assert link.startswith(page)
    assert link in text_of(mailbox.messages[-1], "html")
    return urlsplit(link).fragment


def test_account_is_verified_and_its_password_set_anew_by_the_links_of_mails(service: Live, mailbox: Mailbox) -> None:
    ada = {"email": "ada@example.com", "password": PASSWORD}
    assert post(service, "/register", **ada).status == 202
    assert (post(service, "/token", **ada).status, post(service, "/token", **ada).code) == (403, "email_unverified")
    token = follow(mailbox, 1, VERIFY_PAGE)
    assert post(service, "/email-verification", token=token).status == 204
    assert refused(post(service, "/email-verification", token=token))
    tokens = post(service, "/token", **ada).json()

    asked = [post(service, "/password-reset/request", email=each) for each in ("nobody@example.com", ada["email"])]
    assert [(reply.status, reply.body) for reply in asked] == [(202, b"")] * 2
    token = follow(mailbox, 2, RESET_PAGE)
    assert refused(post(service, "/email-verification", token=token)), "a token of the other kind"
    assert post(service, "/password-reset", token=token, new_password=NEW).status == 200
    assert refused(post(service, "/password-reset", token=token, new_password="another harbour entirely"))
    assert post(service, "/refresh", refresh_token=tokens["refresh_token"]).status == 401
    assert post(service, "/token", **ada).status == 401
    assert post(service, "/token", **ada | {"password": NEW}).status == 200

    assert mailbox.over_tls == [True, True]
    assert mailbox.envelopes == [("no-reply@example.com", ["ada@example.com"])] * 2
    service.end()
    said = service.output()
    assert not [word for word in ("ada@example.com", "tdo_", NEW) if word in said]


@pytest.mark.parametrize("more", ["\r\nBcc: evil@example.com", "%0d%0aBcc: evil@example.com", ", evil@example.com"])
def test_address_that_would_add_a_header_is_refused_before_any_mail(service: Live, mailbox: Mailbox, more: str) -> None:
    for path, members in (("/register", {"password": PASSWORD}), ("/password-reset/request", {})):
        reply = post(service, path, email=f"eve@example.com{more}", **members)
        assert (reply.status, reply.json()["errors"][0]["pointer"]) == (400, "/email")
    bert = f"{uuid4().hex}@example.com"
    assert post(service, "/register", email=bert, password=PASSWORD).status == 202
    follow(mailbox, 1, VERIFY_PAGE)
    assert mailbox.envelopes == [("no-reply@example.com", [bert])]
    assert mailbox.messages[0].get_all("Bcc") is None


def refused(reply: Reply) -> bool:
    """Return whether a token is used up, or none of its kind."""
    return (reply.status, reply.code) == (400, "invalid_one_time_token")
