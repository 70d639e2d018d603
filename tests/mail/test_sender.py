"""Mail from the outbox to real servers on the loopback: taken, refused, cut off, over TLS, and after a crash."""

import logging
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.client import Client
from tests.support.credentials import PASSWORD, SECRET
from tests.support.live import Live, free_port
from tests.support.mails import PAGE, REQUEST, Send, make_due, request, waiting
from tests.support.on_loop import on_loop
from tests.support.processes import soon
from tests.support.rows import rows
from tests.support.settings import MAIL_FROM, with_mail
from tests.support.smtp import Mailbox, certificate, smtp_server, text_of, token_of
from tests.support.users import User
from todo_api.config import Config
from todo_api.database import Database, RoleSession
from todo_api.mail import MailContent, Messages, outbox, smtp

RESET = "/api/v1/auth/password-reset"
NEW = "a ship in port is safe"


def test_request_password_reset_sends_a_mail_whose_token_sets_a_password(
    user: User, url: str, send: Send, mailbox: Mailbox
) -> None:
    request(user.client, user.email.upper())
    assert waiting(url) == [(user.email, "reset", 0)]
    with smtp_server(mailbox) as port:
        send(port)
    (message,) = mailbox.messages
    assert mailbox.envelopes == [("no-reply@example.com", [user.email])]
    assert (message["To"], message["From"]) == (user.email, MAIL_FROM)
    assert message["Subject"] == "Reset your password"
    assert message["Auto-Submitted"] == "auto-generated"
    token = token_of(message)
    for subtype in ("plain", "html"):
        assert PAGE.replace("{token}", token) in text_of(message, subtype)
    assert all("Ada" not in text_of(message, subtype).replace(token, "") for subtype in ("plain", "html"))
    assert waiting(url) == []
    anonymous = user.client.signed_in(None)
    assert anonymous.post(RESET, {"token": token, "new_password": NEW}).status == 200
    assert anonymous.post("/api/v1/auth/token", {"email": user.email, "password": NEW}).status == 200


def test_request_password_reset_of_an_unknown_address_is_answered_alike_and_sends_nothing(
    user: User, url: str, send: Send, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same statements, with the same work: the look-up comes with the sending."""
    asked: list[list[str]] = []
    every = RoleSession.fetch_all

    def watched(self: RoleSession, statement: Any, parameters: Any) -> Any:
        asked[-1].append(statement.sql)
        return every(self, statement, parameters)

    monkeypatch.setattr(RoleSession, "fetch_all", watched)
    replies = []
    for email in (user.email, f"nobody-{user.email}"):
        asked.append([])
        replies.append(user.client.signed_in(None).post(REQUEST, {"email": email}, headers={"X-Request-ID": "same"}))
    assert asked[0] == asked[1]
    assert len(asked[0]) == 1
    told = [(reply.status, reply.body, sorted(reply.header_list)) for reply in replies]
    assert told[0] == told[1]
    with smtp_server(mailbox) as port:
        send(port)
    assert [to for _, to in mailbox.envelopes] == [[user.email]]
    assert waiting(url) == []


def test_request_password_reset_twice_while_the_mail_waits_sends_one(
    user: User, url: str, send: Send, mailbox: Mailbox
) -> None:
    for _ in range(3):
        request(user.client, user.email)
    assert waiting(url) == [(user.email, "reset", 0)]
    with smtp_server(mailbox) as port:
        send(port)
    assert len(mailbox.messages) == 1


@pytest.mark.parametrize(
    ("answers", "left"),
    [
        ({"rcpt": "450 try later"}, 1),
        ({"data": "451 try later"}, 1),
        ({"rcpt": "550 no such user"}, 0),
        ({"data": "554 no"}, 0),
    ],
)
def test_send_refused_for_now_is_tried_again_and_refused_for_good_is_not(
    user: User, url: str, send: Send, mailbox: Mailbox, answers: dict[str, str], left: int
) -> None:
    request(user.client, user.email)
    with smtp_server(mailbox) as port:
        vars(mailbox).update(answers)
        send(port)
        assert waiting(url) == [(user.email, "reset", 1)] * left
        vars(mailbox).update(rcpt="", data="")
        send(port)  # not due yet
        assert mailbox.messages == []
        make_due(url)
        send(port)
    assert len(mailbox.messages) == left


def test_send_to_nobody_who_listens_is_tried_again_for_an_hour_with_longer_and_longer_pauses(
    user: User, url: str, send: Send, caplog: pytest.LogCaptureFixture
) -> None:
    request(user.client, user.email)
    port = free_port()
    pauses = []
    for _ in range(4):
        send(port)
        ((pause,),) = rows(url, "SELECT extract(epoch FROM next_attempt_at - now())::int FROM outbox")
        pauses.append(pause)
        make_due(url)
    assert [round(pause / 60) for pause in pauses] == [1, 2, 4, 8]
    rows(url, "UPDATE outbox SET created_at = now() - interval '61 minutes'")
    with caplog.at_level(logging.WARNING):
        send(port)
    assert waiting(url) == []
    assert caplog.messages[-1:] == ["a mail (reset) was not sent: given up after 4 attempts"]


def test_send_to_a_server_that_hangs_ends_at_its_deadline(
    user: User, url: str, send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    request(user.client, user.email)
    monkeypatch.setattr(smtp.send, "__defaults__", (0.2,))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        send(silent.getsockname()[1])
    assert waiting(url) == [(user.email, "reset", 1)]
    assert smtp.DEADLINE < 60  # the pause after the first attempt: nobody else takes the mail meanwhile


def test_send_with_starttls_to_a_server_that_asks_for_it(
    user: User, url: str, send: Send, mailbox: Mailbox, tmp_path: Path
) -> None:
    ca_file, context = certificate(tmp_path)
    request(user.client, user.email)
    with smtp_server(mailbox, tls_context=context, require_starttls=True) as port:
        send(port)  # without TLS: refused
        assert waiting(url) == [(user.email, "reset", 1)]
        make_due(url)
        send(port, tls="starttls")  # by nobody it knows
        assert waiting(url) == [(user.email, "reset", 2)]
        make_due(url)
        send(port, tls="starttls", ca_file=str(ca_file))
    assert mailbox.over_tls == [True]


def test_send_with_starttls_to_a_server_without_it_sends_nothing(
    user: User, url: str, send: Send, mailbox: Mailbox
) -> None:
    request(user.client, user.email)
    with smtp_server(mailbox) as port:
        send(port, tls="starttls")
    assert (mailbox.messages, waiting(url)) == ([], [(user.email, "reset", 1)])


def test_claim_by_two_senders_at_once_gives_each_mail_to_one(
    user: User, url: str, database: Database, send: Send
) -> None:
    request(user.client, user.email)
    claims = [on_loop(outbox.claim)(database) for _ in range(2)]
    assert [claim and claim.email for claim in claims] == [user.email, None]


@pytest.mark.parametrize(
    "email",
    [
        "a\r\nBcc: eve@example.com",
        "a@b.example\nBcc: eve@example.com",
        "a@b.example, eve@example.com",
        "no address",
    ],
)
def test_message_to_an_address_with_more_in_it_is_refused(email: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # of the library's several kinds
        Messages(MAIL_FROM, {"reset": PAGE}).message(email, MailContent("reset", "tdo_x"))


def test_message_from_replaced_templates_has_one_line_of_subject_and_escaped_html(tmp_path: Path) -> None:
    (tmp_path / "reset.txt").write_text("Hello\rBcc: eve@example.com {{ token }}\n\n{{ link }}\n", encoding="utf-8")
    (tmp_path / "reset.html").write_text("<b>{{ token }}</b>", encoding="utf-8")
    message = Messages(MAIL_FROM, {"reset": None}, tmp_path).message("ada@example.com", MailContent("reset", "<tdo>"))
    assert message["Subject"] == "Hello"
    assert message["Bcc"] is None
    assert text_of(message, "html").strip() == "<b>&lt;tdo&gt;</b>"


def test_purge_deletes_what_no_sender_has_taken_for_a_day(user: User, url: str, database: Database, send: Send) -> None:
    request(user.client, user.email)
    assert on_loop(outbox.purge)(database) == 0
    rows(url, "UPDATE outbox SET next_attempt_at = now() - interval '25 hours'")
    assert on_loop(outbox.purge)(database) == 1
    assert waiting(url) == []


def test_request_password_reset_without_a_mail_server_is_refused(
    url: str, new_client: Callable[[Config], Client]
) -> None:
    service = new_client(Config(database_url=url, jwt_secret=SECRET))
    reply = service.post(REQUEST, {"email": "ada@example.com"})
    assert (reply.status, reply.code) == (404, "mail_disabled")


def test_request_password_reset_too_often_is_held_off_for_known_and_unknown_addresses_alike(
    user: User, url: str, new_client: Callable[[Config], Client], send: Send
) -> None:
    service = new_client(with_mail(url))
    told = []
    for email in (user.email, f"nobody-{user.email}"):
        replies = [service.post(REQUEST, {"email": email}) for _ in range(4)]
        told.append([(reply.status, reply.headers.get("retry-after")) for reply in replies])
        assert replies[-1].json()["detail"].startswith("Too many mails")
    assert told[0] == told[1] == [(202, None)] * 3 + [(429, "1")]


def test_request_password_reset_before_a_crash_is_sent_after_the_restart(
    url: str, tmp_path: Path, mailbox: Mailbox, send: Send
) -> None:
    """At least once: a mail that was being sent is sent again."""
    port = free_port()
    settings = {
        "SMTP_URL": f"smtp://127.0.0.1:{port}?tls=off",
        "MAIL_FROM": MAIL_FROM,
        "DATABASE_URL": url,
        "JWT_SECRET": SECRET,
    }
    body = b'{"email": "crash@example.com", "password": "%b"}' % PASSWORD.encode()
    with Live(tmp_path, **settings) as live:
        live.ready()
        assert live.request("POST", "/api/v1/auth/register", body).status == 201
        assert live.request("POST", REQUEST, b'{"email": "crash@example.com"}').status == 202
        live.process.kill()
        live.process.wait()
    assert [email for email, _, _ in waiting(url)] == ["crash@example.com"]
    make_due(url)
    with smtp_server(mailbox, port), Live(tmp_path, **settings) as live:
        live.ready()
        assert soon(lambda: bool(mailbox.messages) and waiting(url) == [])
        reset = b'{"token": "%b", "new_password": "%b"}' % (token_of(mailbox.messages[0]).encode(), NEW.encode())
        assert live.request("POST", RESET, reset).status == 200
        live.end()
        assert "a mail (reset) was sent" in live.output()
        assert "crash@example.com" not in live.output()
