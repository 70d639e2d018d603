"""What attackers try with mail: other recipients, other links, tokens in logs, and servers that are not who they should be."""

import logging
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import AuthResult, LoginPassword

from tests.support.client import Client
from tests.support.clock import clock_of_attempts
from tests.support.credentials import PASSWORD
from tests.support.mails import PAGE, REQUEST, Send, make_due, request, waiting
from tests.support.on_loop import on_loop
from tests.support.rows import rows
from tests.support.settings import MAIL_FROM, with_mail
from tests.support.smtp import Mailbox, certificate, smtp_server, text_of, token_of
from tests.support.users import User
from todo_api.accounts.one_time_tokens import Purpose
from todo_api.config import Config
from todo_api.database import Database
from todo_api.mail import outbox

WORDS = {"username": "tasks", "password": "a-password-of-the-mail-server"}
EVE = "eve@evil.example"


@pytest.mark.parametrize(
    "email",
    [
        f"ada@example.com\r\nBcc: {EVE}",
        f"ada@example.com\nBcc: {EVE}",
        f"ada@example.com\rBcc: {EVE}",
        f"ada@example.com\x00{EVE}",
        f"ada@example.com\x0bBcc: {EVE}",
        f"ada@example.com\x85Bcc: {EVE}",
        f"ada@example.com\u2028Bcc: {EVE}",
        f"ada@example.com\u2029Bcc: {EVE}",
        f"ada@example.com, {EVE}",
        f"ada@example.com;{EVE}",
        f"Ada <{EVE}>",
        f"<{EVE}>",
        f'"{EVE}, ada"@example.com',
        f"ada@example.com> RCPT TO:<{EVE}",
        f"@evil.example:{EVE}",
        f"ada@example.com%0d%0aBcc:{EVE}",
        "ada@[127.0.0.1]",
        "ada@example.com\n",
        f"{'a' * 65}@example.com",
        f"ada@{'example.' * 40}com",
    ],
)
def test_request_password_reset_for_an_address_with_more_in_it_is_refused(
    anonymous: Client, url: str, send: Send, email: str
) -> None:
    reply = anonymous.post(REQUEST, {"email": email})
    assert (reply.status, reply.code) == (400, "validation_failed")
    assert [error["pointer"] for error in reply.json()["errors"]] == ["/email"]
    assert waiting(url) == []


@pytest.mark.parametrize(
    "email",
    [
        "a%0d%0abcc:eve".replace(":", "=") + "@example.com",
        "a`{|}~'*/!#$&^_+-b@example.com",
        "-oq/tmp@example.com",
        f"{'a' * 64}@{'b' * 60}.{'c' * 60}.{'d' * 59}.example",
    ],
)
def test_request_password_reset_for_an_odd_address_is_sent_there_alone(
    anonymous: Client, send: Send, mailbox: Mailbox, email: str
) -> None:
    assert anonymous.post("/api/v1/auth/register", {"email": email, "password": PASSWORD}).status == 201
    request(anonymous, email)
    with smtp_server(mailbox) as port:
        send(port)
    (message,) = mailbox.messages
    assert mailbox.envelopes == [("no-reply@example.com", [email])]
    assert [address.addr_spec for address in message["To"].addresses] == [email]
    headers = ["Subject", "From", "To", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type"]
    assert sorted(name.lower() for name in message.keys() if not name.startswith("X-")) == sorted(  # noqa: SIM118  # of a message
        name.lower() for name in headers
    )


@pytest.mark.parametrize("email", ["=?utf-8?q?=0abcc=20eve?=@example.com", "=?utf-8?b?dgvzda==?=@example.com"])
def test_request_password_reset_for_an_address_that_a_header_would_decode_sends_nothing(
    anonymous: Client, url: str, send: Send, mailbox: Mailbox, caplog: pytest.LogCaptureFixture, email: str
) -> None:
    """An encoded word (RFC 2047) may hold a line end. The mail is given up, and the log does not repeat it."""
    assert anonymous.post("/api/v1/auth/register", {"email": email, "password": PASSWORD}).status == 201
    request(anonymous, email)
    with smtp_server(mailbox) as port:
        send(port)
    assert (mailbox.messages, waiting(url)) == ([], [])
    assert caplog.messages[-1] == "a mail (reset) was not sent: its address is none"


def test_request_password_reset_with_another_host_links_to_the_page_of_the_settings(
    user: User, send: Send, mailbox: Mailbox
) -> None:
    evil = dict.fromkeys(("Host", "X-Forwarded-Host", "X-Original-Host", "Origin", "Referer"), "evil.example")
    request(user.client, user.email, **evil, Forwarded="host=evil.example;proto=http")
    with smtp_server(mailbox) as port:
        send(port)
    (message,) = mailbox.messages
    assert b"evil" not in message.as_bytes()
    link = PAGE.replace("{token}", token_of(message))
    assert [text_of(message, subtype).count(link) for subtype in ("plain", "html")] == [1, 2]
    before, _, fragment = link.partition("#")
    assert token_of(message) == fragment, "what stands behind # is sent to no server, and in no Referer"
    assert "tdo_" not in before


@pytest.mark.parametrize("repeat", ["", "data", "rcpt"])
def test_send_writes_no_token_and_no_address_into_the_log(
    user: User, send: Send, mailbox: Mailbox, caplog: pytest.LogCaptureFixture, repeat: str
) -> None:
    """At every level; and what a server answers may repeat what it was sent."""
    request(user.client, user.email)
    if repeat:
        vars(mailbox)[repeat] = f"554 {user.email} tdo_{'x' * 43} is not wanted"
    with caplog.at_level(logging.DEBUG, "todo_api"), smtp_server(mailbox) as port:
        send(port)
    told = "\n".join(
        record.getMessage() + str(record.exc_text) for record in caplog.records if record.name.startswith("todo_api")
    )
    assert "a mail (reset) was" in told
    assert user.email not in told
    assert "tdo_" not in told


def signs_in(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
    assert isinstance(data, LoginPassword)
    right = (data.login.decode(), data.password.decode()) == (WORDS["username"], WORDS["password"])
    return AuthResult(success=right, handled=False)


def test_send_signs_in_to_a_server_with_tls_from_the_beginning(
    user: User, url: str, send: Send, mailbox: Mailbox, tmp_path: Path
) -> None:
    ca_file, context = certificate(tmp_path)
    request(user.client, user.email)
    with smtp_server(mailbox, ssl_context=context, authenticator=signs_in, auth_require_tls=False) as port:
        send(port, tls="implicit", ca_file=str(ca_file), **WORDS | {"password": "a wrong one"})
        assert (mailbox.messages, waiting(url)) == ([], [(user.email, "reset", 1)])
        make_due(url)
        send(port, tls="implicit", ca_file=str(ca_file), **WORDS)
    assert mailbox.envelopes == [("no-reply@example.com", [user.email])]
    assert (mailbox.signed_in, waiting(url)) == ([True], [])  # and the server speaks nothing but TLS


def test_send_that_may_not_sign_in_writes_no_password_into_the_log(
    user: User, send: Send, mailbox: Mailbox, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ca_file, context = certificate(tmp_path)
    request(user.client, user.email)
    words = WORDS | {"password": "another-password-of-a-mail-server"}
    with (
        caplog.at_level(logging.DEBUG, "todo_api"),
        smtp_server(mailbox, tls_context=context, authenticator=signs_in, auth_required=True) as port,
    ):
        send(port, tls="starttls", ca_file=str(ca_file), **words)
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("todo_api")]
    assert ours == ["a mail (reset) was not sent, attempt 1: SMTPAuthenticationError 535"]
    for secret in (words["password"], b64encode(words["password"].encode()).decode()):
        assert not any(
            secret in record.getMessage()
            for record in caplog.records
            if record.name.startswith(("todo_api", "aiosmtplib"))
        )


@pytest.mark.parametrize("tls", ["implicit", "starttls"])
@pytest.mark.parametrize("wrong", ["unknown", "of another host", "expired"])
def test_send_to_a_server_with_a_wrong_certificate_sends_nothing(
    user: User, url: str, send: Send, tmp_path: Path, tls: str, wrong: str
) -> None:
    """Neither a word of the mail nor the password of the server's account."""
    mailbox = Mailbox()
    names: dict[str, Any] = {"of another host": {"host": "192.0.2.1"}, "expired": {"days": -1}}.get(wrong, {})
    ca_file, context = certificate(tmp_path, **names)
    said: list[Any] = []

    def noted(*what: Any) -> AuthResult:
        said.append(what)
        return AuthResult(success=True)

    options: dict[str, Any] = {"tls_context": context}
    if tls == "implicit":
        options = {"ssl_context": context, "auth_require_tls": False}
    request(user.client, user.email)
    with smtp_server(mailbox, authenticator=noted, **options) as port:
        send(port, tls=tls, ca_file=None if wrong == "unknown" else str(ca_file), **WORDS)
    assert (mailbox.messages, said) == ([], [])
    assert waiting(url) == [(user.email, "reset", 1)]


def test_request_password_reset_again_after_a_failed_attempt_does_not_hurry_the_next_one(
    user: User, url: str, send: Send, database: Database
) -> None:
    """Else whoever asks again and again makes every worker try a server that is away."""
    request(user.client, user.email)
    assert on_loop(outbox.claim)(database) is not None
    rows(url, "UPDATE outbox SET next_attempt_at = now() + interval '8 minutes'")
    request(user.client, user.email)
    assert on_loop(outbox.claim)(database) is None
    ((pause,),) = rows(url, "SELECT extract(epoch FROM next_attempt_at - created_at)::int FROM outbox")
    assert pause == 60


def test_claim_leaves_the_row_until_the_mail_is_sent(user: User, url: str, send: Send, database: Database) -> None:
    """A process that is killed while it sends loses no mail."""
    request(user.client, user.email)
    claimed = on_loop(outbox.claim)(database)
    assert claimed is not None
    assert (claimed.email, claimed.purpose) == (user.email, Purpose.RESET)
    assert waiting(url) == [(user.email, "reset", 1)]


def test_messages_come_from_the_sender_of_the_settings(user: User, send: Send, mailbox: Mailbox) -> None:
    request(user.client, user.email, From=EVE, Sender=EVE)
    with smtp_server(mailbox) as port:
        send(port)
    assert str(mailbox.messages[0]["From"]) == MAIL_FROM


@pytest.fixture
def throttled(url: str, new_client: Callable[[Config], Client]) -> Client:
    """A client of a service of its own, which counts attempts."""
    return new_client(with_mail(url, trusted_proxies=("127.0.0.1",)))


def asked(client: Client, email: str, address: str) -> int:
    """Return the seconds to wait, 0 where a mail is queued."""
    reply = client.post(REQUEST, {"email": email}, headers={"X-Forwarded-For": address})
    assert reply.status == (429 if "retry-after" in reply.headers else 202)
    return int(reply.headers.get("retry-after", 0))


def test_request_password_reset_from_many_addresses_sends_few_mails_to_one(throttled: Client) -> None:
    """In any spelling, and with longer and longer pauses, an hour at most."""
    with clock_of_attempts() as clock:
        waits = [
            asked(throttled, email, f"192.0.2.{number}")
            for number, email in enumerate(("flooded@example.com", "FLOODED@example.com", "Flooded@Example.Com"))
        ]
        assert waits == [0, 0, 0]
        for doubling in range(14):
            wait = asked(throttled, "flooded@example.com", f"192.0.2.{10 + doubling}")
            assert wait == min(2**doubling, 3600)
            clock.move_on(wait)
            assert asked(throttled, "flooded@example.com", f"192.0.2.{100 + doubling}") == 0
        assert asked(throttled, "another@example.com", "192.0.2.1") == 0


def test_request_password_reset_for_many_addresses_from_one_has_to_wait(throttled: Client) -> None:
    with clock_of_attempts():
        waits = [asked(throttled, f"many-{number}@example.com", "192.0.2.200") for number in range(21)]
        assert waits == [0] * 20 + [1]
        assert asked(throttled, "many-21@example.com", "192.0.2.201") == 0


def test_request_password_reset_of_an_address_flooded_from_elsewhere_is_queued_for_who_has_signed_in_there(
    throttled: Client,
) -> None:
    email, home = "owner@example.com", "192.0.2.210"
    with clock_of_attempts():
        body = {"email": email, "password": PASSWORD}
        assert throttled.post("/api/v1/auth/register", body, headers={"X-Forwarded-For": home}).status == 201
        assert [asked(throttled, email, f"198.51.100.{number}") for number in range(4)] == [0, 0, 0, 1]
        assert [asked(throttled, email, home) for _ in range(4)] == [0, 0, 0, 1]


def test_change_email_to_one_address_again_and_again_sends_few_mails_there(
    url: str, new_client: Callable[[Config], Client]
) -> None:
    service = new_client(with_mail(url, email_verification="required", trusted_proxies=("127.0.0.1",)))
    own, victim = "moves@example.com", "bothered@example.com"
    with clock_of_attempts():
        body = {"email": own, "password": PASSWORD}
        assert service.post("/api/v1/auth/register", body).status == 202
        rows(url, f"UPDATE accounts SET email_verified_at = now() WHERE email = '{own}'")
        user = service.signed_in(service.post("/api/v1/auth/token", body).json()["access_token"])
        others = [f"moves{number}@example.com" for number in range(3)]
        asked_for = [email for other in others for email in (victim, other)] + [victim.upper()]
        replies = [
            user.post("/api/v1/me/account/email", {"password": PASSWORD, "email": email}).status for email in asked_for
        ]
    assert replies == [200] * 6 + [429]
