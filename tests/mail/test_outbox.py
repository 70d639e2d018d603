"""Whose turn it is in the outbox, and what stays there, with several senders and several mails."""

from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from tests.support.live import free_port
from tests.support.mails import PAGE, Send, request, waiting
from tests.support.on_loop import on_loop
from tests.support.rows import rows, superuser_url
from tests.support.settings import MAIL_FROM
from tests.support.smtp import Mailbox, smtp_server
from tests.support.users import User
from todo_api.database import Database
from todo_api.mail import MailContent, Messages, outbox

FIRST, SECOND = "first@example.com", "second@example.com"


@pytest.fixture
def two_mails(url: str, database: Database, send: Send) -> None:
    """Two mails are due. The second one was asked for first, and has waited less."""
    for email in (SECOND, FIRST):
        on_loop(outbox.queue)(database, email, "reset")
    rows(url, f"UPDATE outbox SET next_attempt_at = now() - interval '1 minute' WHERE email = '{FIRST}'")


def claimed(database: Database) -> str | None:
    mail = on_loop(outbox.claim)(database)
    return None if mail is None else mail.email


@pytest.mark.usefixtures("two_mails")
def test_claim_takes_the_mail_that_has_waited_longest(database: Database) -> None:
    assert [claimed(database) for _ in range(3)] == [FIRST, SECOND, None]


@pytest.mark.usefixtures("two_mails")
def test_claim_while_another_sender_claims_takes_the_next_mail_and_does_not_wait(url: str, database: Database) -> None:
    with closing(psycopg2.connect(superuser_url(url))) as other, other.cursor() as cursor:
        cursor.execute("SELECT 1 FROM outbox WHERE email = %s FOR UPDATE", (FIRST,))
        assert cursor.rowcount == 1
        assert claimed(database) == SECOND
        assert claimed(database) is None
        other.rollback()
        assert claimed(database) == FIRST


def test_queue_again_renews_the_hour_for_which_a_mail_is_tried(
    user: User, url: str, send: Send, mailbox: Mailbox
) -> None:
    request(user.client, user.email)
    rows(url, "UPDATE outbox SET created_at = now() - interval '2 hours', next_attempt_at = now()")
    request(user.client, user.email)
    with smtp_server(mailbox) as port:
        send(port)
    assert [to for _, to in mailbox.envelopes] == [[user.email]]


def test_finish_leaves_the_mail_for_another_purpose(url: str, database: Database, send: Send) -> None:
    for purpose in ("reset", "verify"):
        on_loop(outbox.queue)(database, FIRST, purpose)
    mail = on_loop(outbox.claim)(database)
    assert mail is not None
    on_loop(outbox.finish)(database, mail)
    assert [(email, purpose) for email, purpose, _ in waiting(url)] == [
        (FIRST, {"reset": "verify", "verify": "reset"}[mail.purpose])
    ]


@pytest.mark.usefixtures("two_mails")
def test_purge_keeps_a_mail_that_is_due_for_less_than_a_day(url: str, database: Database) -> None:
    rows(url, f"UPDATE outbox SET next_attempt_at = now() - interval '23 hours' WHERE email = '{FIRST}'")
    assert on_loop(outbox.purge)(database) == 0
    assert len(waiting(url)) == 2


def test_send_due_to_a_server_that_is_away_tries_one_mail(user: User, url: str, send: Send) -> None:
    """Else each round tries every mail, and their pauses grow as if the mails were at fault."""
    for email in (user.email, f"other-{user.email}"):
        request(user.client, email)
    rows(url, f"UPDATE outbox SET next_attempt_at = now() - interval '1 minute' WHERE email = '{user.email}'")
    send(free_port())
    assert {email: attempts for email, _, attempts in waiting(url)} == {user.email: 1, f"other-{user.email}": 0}


def test_send_greets_with_the_domain_of_the_sender(user: User, send: Send, mailbox: Mailbox) -> None:
    """A machine's own name may be none that a mail server takes, and looking it up may take long."""
    request(user.client, user.email)
    with smtp_server(mailbox) as port:
        send(port)
    assert mailbox.greeted_by == ["example.com"]


def test_message_id_is_of_the_sender_s_domain() -> None:
    message = Messages("Tasks <no-reply@tasks.example>", {"reset": PAGE}).message(
        "ada@example.com", MailContent("reset", "tdo_x")
    )
    assert str(message["Message-ID"]).endswith("@tasks.example>")


@pytest.mark.parametrize("separator", ["\v", "\f", "\x1c", "\x85", "\u2028", "\u2029"])
def test_message_from_a_template_has_a_subject_of_one_line(tmp_path: Path, separator: str) -> None:
    (tmp_path / "reset.txt").write_text(f"Hello{separator}Bcc: eve@example.com\n\n{{{{ token }}}}\n", encoding="utf-8")
    message = Messages(MAIL_FROM, {"reset": PAGE}, tmp_path).message("ada@example.com", MailContent("reset", "tdo_x"))
    assert message["Subject"] == "Hello Bcc: eve@example.com"
    assert message["Bcc"] is None
