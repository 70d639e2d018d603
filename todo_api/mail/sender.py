"""The sender: a task of each worker that sends the mails of the outbox, one after another."""

import asyncio
import logging
import random
from collections.abc import Callable
from contextlib import suppress
from email.errors import MessageError

from todo_api.config import SmtpServer
from todo_api.database import Database, spawn
from todo_api.errors import Unavailable
from todo_api.mail import outbox
from todo_api.mail.messages import MailContent, Messages
from todo_api.mail.outbox import QueuedMail
from todo_api.mail.smtp import MailNotSent, MailRefused, send

EVERY = 5
"""Mean seconds between two looks at the outbox. They vary, so that workers do not look at once."""

_log = logging.getLogger(__name__)

FindContent = Callable[[str, str], MailContent | None]
"""Return the content of a mail by e-mail address and purpose. None if there is no account."""


class Sender:
    """Sends the mails of the outbox. Enter it with `async with` while the service runs.

    A claimed mail belongs to this worker until its next attempt is due.
    """

    def __init__(self, database: Database, server: SmtpServer, messages: Messages, content: FindContent) -> None:
        self._database = database
        self._server = server
        self._messages = messages
        self._content = content
        self._ending = asyncio.Event()
        self._sending: asyncio.Task[None] | None = None
        self._task: asyncio.Task[None]

    async def __aenter__(self) -> None:
        """Start. Mails that an earlier process has left are sent at once."""
        self._task = asyncio.create_task(self._run())

    async def __aexit__(self, *_: object) -> None:
        """Stop, also in the middle of an attempt: a later process makes it again."""
        self._ending.set()
        if self._sending is not None:
            self._sending.cancel()
        await self._task

    async def _run(self) -> None:
        while not self._ending.is_set():
            try:
                await self.send_due()
            except Unavailable as error:
                _log.warning("no mail was sent: %s", error.__cause__ or error)
            except Exception:  # a fault of ours: log its trace, and try again in the next round
                _log.exception("no mail was sent")
            pause = EVERY * random.uniform(0.5, 1.5)  # noqa: S311  # no secret
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._ending.wait()

    async def send_due(self) -> None:
        """Send every mail that is due. Stop at the first one that has to be tried again."""
        while not self._ending.is_set() and (mail := await spawn(outbox.claim, self._database)) is not None:
            if not await self._is_done_with(mail):
                return
            await spawn(outbox.finish, self._database, mail)

    async def _is_done_with(self, mail: QueuedMail) -> bool:
        """Try to send a mail. Return whether it is sent or given up, so that its row can go."""
        if mail.is_too_old:
            _log.error("a mail (%s) was not sent: given up after %d attempts", mail.purpose, mail.attempts - 1)
            return True
        content = await spawn(self._content, mail.email, mail.purpose)
        if content is None:
            return True
        try:
            message = self._messages.message(mail.email, content)
        except (ValueError, MessageError):
            _log.error("a mail (%s) was not sent: its address is none", mail.purpose)  # no trace: it has the address
            return True
        try:
            self._sending = asyncio.create_task(send(self._server, message))  # a task, for __aexit__ to cancel
            await self._sending
        except asyncio.CancelledError:
            if not self._ending.is_set():
                raise
            return False
        except MailRefused as error:
            _log.warning("a mail (%s) was not sent, and will not be: %s", mail.purpose, error)
        except MailNotSent as error:
            _log.warning("a mail (%s) was not sent, attempt %d: %s", mail.purpose, mail.attempts, error)
            return False
        else:
            _log.info("a mail (%s) was sent", mail.purpose)
        finally:
            self._sending = None
        return True
