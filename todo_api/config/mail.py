"""The settings of mail: its server, its sender, and the page that takes its token."""

import re
from email.policy import SMTP
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urlsplit

from todo_api.config.settings import is_loopback, server_url

if TYPE_CHECKING:
    from todo_api.config.config import Config

_PORTS = {"smtp": 587, "smtps": 465}


class SmtpServer(NamedTuple):
    """A mail server and its options. `tls` is `implicit`, `starttls` or `off`."""

    host: str
    port: int
    tls: str
    username: str | None = None
    password: str | None = None
    ca_file: Path | None = None


def smtp_server(text: str, ca_file: Path | None = None) -> SmtpServer | None:
    """Return the mail server that a URL names, None for what is no such URL."""
    parts = server_url(text, _PORTS, with_user=True)
    if parts is None or parts.path not in ("", "/") or (parts.username is None) != (parts.password is None):
        return None
    if parts.query not in (("", "tls=off") if parts.scheme == "smtp" else ("",)):
        return None
    tls = "implicit" if parts.scheme == "smtps" else "off" if parts.query else "starttls"
    username, password = (None if part is None else unquote(part) for part in (parts.username, parts.password))
    return SmtpServer(str(parts.hostname), parts.port or _PORTS[parts.scheme], tls, username, password, ca_file)


def flaw(config: "Config") -> tuple[str, str | None]:
    """Return which setting is wrong and how, with the way out. None for how if all are right."""
    url, reset_url, templates = config.smtp_url, config.password_reset_url, config.mail_templates
    verified, verify_url = config.email_verification, config.email_verification_url
    server = None if url is None else smtp_server(url)
    external = "is for the service's own accounts, and JWT_ISSUER is set: unset it."
    idle = "is for mail, and SMTP_URL is not set: set it, or unset this."
    secret = server is not None and server.tls == "off" and server.username is not None and not is_loopback(server.host)
    page = "must be a URL with {token} in it, such as https://app.example.com/reset#{token}"
    unasked = "is for EMAIL_VERIFICATION=required: set that, or unset this."
    rules = (
        ("SMTP_URL", url is not None and config.jwt_issuer is not None, external),
        ("PASSWORD_RESET_URL", reset_url is not None and config.jwt_issuer is not None, external),
        ("EMAIL_VERIFICATION", verified not in ("off", "required"), "must be off or required."),
        ("EMAIL_VERIFICATION", verified == "required" and config.jwt_issuer is not None, external),
        ("EMAIL_VERIFICATION", verified == "required" and url is None, "needs a mail server: set SMTP_URL."),
        ("EMAIL_VERIFICATION_URL", verify_url is not None and verified != "required", unasked),
        ("EMAIL_VERIFICATION_URL", verify_url is not None and not _takes_token(verify_url), page),
        ("SMTP_CA_FILE", url is None and config.smtp_ca_file is not None, idle),
        ("MAIL_FROM", url is None and config.mail_from is not None, idle),
        ("MAIL_TEMPLATES", url is None and templates is not None, idle),
        (
            "SMTP_URL",
            url is not None and server is None,
            "must be a URL: smtp://user:password@host:587, or smtps://...",
        ),
        ("SMTP_URL", secret, "must not send a password without TLS: leave out tls=off."),
        (
            "MAIL_FROM",
            url is not None and not _is_sender(config.mail_from or ""),
            "must be an address: no-reply@example.com",
        ),
        ("MAIL_TEMPLATES", templates is not None and not templates.is_dir(), "must be a folder with templates."),
        ("PASSWORD_RESET_URL", reset_url is not None and not _takes_token(reset_url), page),
    )
    return next(((name, what) for name, broken, what in rules if broken), ("SMTP_URL", None))


def _is_sender(text: str) -> bool:
    if not re.fullmatch("[ -~]+", text):
        return False
    header = SMTP.header_factory("From", text)
    return not header.defects and len(header.addresses) == 1 and bool(header.addresses[0].domain)


def _takes_token(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    whole = re.fullmatch("[!-~]+", url) is not None and url.count("{token}") == 1
    return whole and bool(parts.hostname) and "{token}" not in parts.netloc and parts.scheme in ("http", "https")
