"""SMTP servers on the loopback, real ones of aiosmtpd: that accept, refuse, ask for TLS or say nothing."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.discretion import RUN
from tests.support.live import free_port

TOKEN_LENGTH = 47


class Mailbox:
    """Mails that a server has accepted. `rcpt` and `data` replace its replies to these commands, if set."""

    def __init__(self) -> None:
        self.messages: list[EmailMessage] = []
        self.envelopes: list[Any] = []
        self.over_tls: list[bool] = []
        self.signed_in: list[bool] = []
        self.greeted_by: list[str] = []
        self.rcpt = self.data = ""

    async def handle_RCPT(self, server: SMTP, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802  # aiosmtpd's
        if self.rcpt:
            return self.rcpt
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Any, envelope: Any) -> str:  # noqa: N802  # aiosmtpd's
        if self.data:
            return self.data
        message = message_from_bytes(envelope.content, policy=default)
        assert isinstance(message, EmailMessage)
        self.messages.append(message)
        self.envelopes.append((envelope.mail_from, [*envelope.rcpt_tos]))
        self.over_tls.append(session.ssl is not None)
        self.signed_in.append(session.authenticated)
        self.greeted_by.append(session.host_name)
        RUN.secret("token", token_of(message))
        return "250 OK"


def text_of(message: EmailMessage, subtype: str = "plain") -> str:
    body = message.get_body((subtype,))
    assert body is not None
    return str(body.get_content())


def token_of(message: EmailMessage) -> str:
    text = text_of(message)
    start = text.index("tdo_")
    return text[start : start + TOKEN_LENGTH]


@contextmanager
def smtp_server(mailbox: Mailbox, port: int = 0, **options: Any) -> Iterator[int]:
    """Serve, and yield the port."""
    controller = Controller(mailbox, hostname="127.0.0.1", port=port or free_port(), **options)
    controller.start()
    try:
        yield int(controller.port)
    finally:
        controller.stop()


def certificate(folder: Path, host: str = "127.0.0.1", days: int = 1) -> tuple[Path, ssl.SSLContext]:
    """Make a certificate of an address, valid for some days, and return its file and what a server needs."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=9))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(host))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file, key_file = folder / "ca.pem", folder / "key.pem"
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, key_file)
    return file, context
