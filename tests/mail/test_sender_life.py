"""The task that sends: what it survives, and what it leaves when it is stopped in the middle of a mail."""

import asyncio
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import aiosmtplib
import pytest

from tests.support.mails import LINKS, Send, request, waiting
from tests.support.on_loop import on_loop, run_until_complete
from tests.support.settings import MAIL_FROM
from tests.support.smtp import Mailbox, smtp_server
from tests.support.users import User
from todo_api.config import SmtpServer
from todo_api.database import Database
from todo_api.errors import Unavailable
from todo_api.mail import MailContent, Messages, Sender, outbox, sender, smtp

CONTENT = MailContent("reset", "tdo_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE")
STEPS = 4
"""Replies of a server before it asks for the message: a greeting, and one each to EHLO, MAIL and RCPT."""


def make(database: Database, port: int, content: Callable[[str, str], MailContent | None]) -> Sender:
    return Sender(database, SmtpServer("127.0.0.1", port, "off"), Messages(MAIL_FROM, LINKS), content)


async def until(condition: Callable[[], bool]) -> None:
    """Wait until the condition holds."""
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.fixture
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sender looks at the outbox again at once."""
    monkeypatch.setattr(sender, "EVERY", 0.01)


@pytest.mark.usefixtures("quickly")
def test_sender_stopped_while_a_server_hangs_ends_at_once_and_keeps_the_mail(
    user: User, url: str, send: Send, database: Database
) -> None:
    request(user.client, user.email)
    with socket.create_server(("127.0.0.1", 0)) as silent:

        async def main() -> None:
            async with make(database, silent.getsockname()[1], lambda *_: CONTENT):
                connection, _ = await asyncio.to_thread(silent.accept)
            with connection:
                assert connection.recv(1) == b""  # the attempt is over, not left behind

        async def in_time() -> bool:
            ended, _ = await asyncio.wait({asyncio.create_task(main())}, timeout=smtp.DEADLINE / 2)
            return bool(ended)

        assert run_until_complete(in_time())
    assert waiting(url) == [(user.email, "reset", 1)]


def test_send_that_is_cancelled_from_outside_ends_and_keeps_the_mail(
    user: User, url: str, send: Send, database: Database
) -> None:
    request(user.client, user.email)
    with socket.create_server(("127.0.0.1", 0)) as silent:

        async def main() -> bool:
            sending = asyncio.create_task(make(database, silent.getsockname()[1], lambda *_: CONTENT).send_due())
            connection, _ = await asyncio.to_thread(silent.accept)
            with connection:
                sending.cancel()
                await asyncio.wait({sending})
            return sending.cancelled()

        assert run_until_complete(main())
    assert waiting(url) == [(user.email, "reset", 1)]


@pytest.fixture
def two_mails(database: Database, send: Send) -> None:
    """Two mails are due."""
    for email in ("ada@example.com", "bob@example.com"):
        on_loop(outbox.queue)(database, email, "reset")


@pytest.mark.usefixtures("quickly", "two_mails")
@pytest.mark.parametrize(
    ("error", "told"),
    [
        (Unavailable("The database is away."), ("no mail was sent: The database is away.", False)),
        (RuntimeError("a fault of ours"), ("no mail was sent", True)),
    ],
)
def test_sender_after_an_error_tells_it_and_sends_the_next_mail(
    database: Database, mailbox: Mailbox, caplog: pytest.LogCaptureFixture, error: Exception, told: tuple[str, bool]
) -> None:
    errors = [error]

    def content(*_: str) -> MailContent:
        if errors:
            raise errors.pop()
        return CONTENT

    with smtp_server(mailbox) as port, caplog.at_level(logging.WARNING):

        async def main() -> None:
            async with make(database, port, content):
                await until(lambda: len(mailbox.messages) == 1)

        run_until_complete(main())
    (record,) = [record for record in caplog.records if record.name == sender.__name__]
    assert (record.getMessage(), record.exc_info is not None) == told  # with a trace, or without


@pytest.mark.usefixtures("two_mails")
def test_send_that_is_put_off_leaves_the_other_mails_for_later(url: str, mailbox: Mailbox, database: Database) -> None:
    """A server that refuses one for now would refuse them all."""
    mailbox.rcpt = "450 try later"
    with smtp_server(mailbox) as port:
        run_until_complete(make(database, port, lambda *_: CONTENT).send_due())
    assert sorted(attempts for _, _, attempts in waiting(url)) == [0, 1]


@contextmanager
def slow_server(pause: float) -> Iterator[int]:
    """Serve one client, each of whose steps takes so many seconds, and yield the port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        ended = threading.Event()

        def serve() -> None:
            connection, _ = listening.accept()
            with connection, suppress(OSError):  # the client goes in the middle of it
                for reply in (b"220 slow", *[b"250 OK"] * (STEPS - 1), b"354 go on", b"250 OK", b"221 bye"):
                    if ended.wait(pause):
                        return
                    connection.sendall(reply + b"\r\n")
                    while (read := connection.recv(65536)) and reply.startswith(b"354") and b"\r\n.\r\n" not in read:
                        pass
                    if not read:
                        return

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield int(listening.getsockname()[1])
        finally:
            ended.set()
            thread.join()


def test_send_ends_at_the_deadline_though_the_library_loses_a_cancellation(
    user: User, url: str, send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(*_: object, **__: object) -> None:
        with suppress(asyncio.CancelledError):  # as if an answer had come at this moment
            await asyncio.sleep(60)
        await asyncio.sleep(1)

    request(user.client, user.email)
    monkeypatch.setattr(aiosmtplib, "send", hang)
    monkeypatch.setattr(smtp.send, "__defaults__", (0.1,))
    send(0)
    assert waiting(url) == [(user.email, "reset", 1)]


def test_send_to_a_server_that_answers_each_step_in_time_ends_at_the_deadline_of_all(
    user: User, url: str, send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    request(user.client, user.email)
    deadline = 1.0
    monkeypatch.setattr(smtp.send, "__defaults__", (deadline,))
    with slow_server(2 * deadline / STEPS) as port:
        send(port)
    assert waiting(url) == [(user.email, "reset", 1)]
