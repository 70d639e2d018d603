"""SMTP, through aiosmtplib: one message on one connection, within one deadline."""

import asyncio
import ssl
from collections.abc import Coroutine
from email.message import EmailMessage
from typing import Any

from todo_api.config import SmtpServer

DEADLINE = 30
"""Seconds that an attempt may take, however slowly the server answers."""

_PERMANENT = 500
"""The least reply code of a permanent failure (RFC 5321, section 4.2.1)."""


class MailRefused(Exception):
    """The server will never take this message for this recipient."""


class MailNotSent(Exception):
    """The message was not sent this time. The text, for the log, has no address and no secret."""


async def send(server: SmtpServer, message: EmailMessage, deadline: float = DEADLINE) -> None:
    """Send a message. Raise MailRefused or MailNotSent."""
    import aiosmtplib  # noqa: PLC0415  # a service that sends no mail starts without it

    sender, recipient = (message[name].addresses[0] for name in ("From", "To"))
    attempt = aiosmtplib.send(
        message,
        sender=sender.addr_spec,
        recipients=[recipient.addr_spec],
        hostname=server.host,
        port=server.port,
        username=server.username,
        password=server.password,
        local_hostname=sender.domain,  # the default would wait for the name service
        timeout=deadline,
        use_tls=server.tls == "implicit",
        start_tls=server.tls == "starttls",
        tls_context=None if server.tls == "off" else ssl.create_default_context(cafile=server.ca_file),
    )
    try:
        await _within(deadline, attempt)
    except aiosmtplib.SMTPRecipientsRefused as error:
        codes = [refused.code for refused in error.recipients]
        if min(codes) >= _PERMANENT:
            raise MailRefused(f"recipient refused with {codes[0]}") from error
        raise MailNotSent(f"recipient refused with {codes[0]}") from error
    except aiosmtplib.SMTPDataError as error:
        if error.code >= _PERMANENT:
            raise MailRefused(f"message refused with {error.code}") from error
        raise MailNotSent(f"message refused with {error.code}") from error
    except aiosmtplib.SMTPResponseException as error:  # its text is the server's, and may repeat what it was sent
        raise MailNotSent(f"{type(error).__name__} {error.code}") from error
    except TimeoutError as error:
        raise MailNotSent(f"no answer within {deadline} seconds") from error
    except (aiosmtplib.SMTPException, OSError) as error:
        raise MailNotSent(f"{type(error).__name__}: {error}") from error


async def _within(seconds: float, attempt: Coroutine[Any, Any, object]) -> None:
    """Make an attempt. Raise TimeoutError if it has to be ended.

    One cancellation may not end it: aiosmtplib uses `asyncio.wait_for`, which on Python 3.11
    loses a cancellation that comes together with an answer.
    """
    task = asyncio.ensure_future(attempt)
    try:
        await asyncio.wait({task}, timeout=seconds)
    finally:
        while not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=0.1)
    if task.cancelled():
        raise TimeoutError
    task.result()
