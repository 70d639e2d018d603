"""The settings as an operator may see them: each with its source, and without secrets.

A setting is hidden unless this module names it, so that a new secret cannot be forgotten.
"""

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

from todo_api.config.config import Config
from todo_api.config.loading import ENV_FILE, NUMBERS, PATHS, SWITCHES, GivenSetting, given

HIDDEN = "(hidden)"

OPEN = (
    NUMBERS
    | SWITCHES
    | PATHS
    | {
        "CORS_ORIGINS",
        "DATABASE_ROLE_PREFIX",
        "EMAIL_VERIFICATION",
        "EMAIL_VERIFICATION_URL",
        "HOST",
        "LOG_FORMAT",
        "LOG_LEVEL",
        "MAIL_FROM",
        "PASSWORD_RESET_URL",
    }
    | {"RATE_LIMIT", "SECURITY_CONTACT", "SECURITY_EXPIRES", "TRUSTED_PROXIES"}
    | {f"JWT_{name}" for name in ("ALGORITHMS", "AUDIENCE", "AUTHORIZED_PARTIES", "ISSUER", "REQUIRED_CLAIMS")}
)
"""Settings that are shown as they are."""

URLS = {
    *("DATABASE_URL", "JWT_JWKS_URL", "MCP_URL", "OTEL_EXPORTER_OTLP_ENDPOINT", "PUBLIC_URL"),
    *("RATE_LIMIT_STORAGE_URL", "SMTP_URL"),
}
"""Settings that are shown without the secrets of a URL."""

_URL = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?:(?P<login>.*)@)?(?P<hosts>[\w.,\[\]:-]*?)(?P<ports>(?::\d+)?)"
    r"(?P<path>/[\w./-]*)?(?:\?(?P<query>.*))?",
    re.DOTALL,
)
_PARAMETERS = {"connect_timeout", "sslmode", "target_session_attrs", "tls"}
"""Parameters of URLs that are shown. Others may be a password, such as libpq's `sslpassword`."""


def shown_settings(dotenv: Path = ENV_FILE, **flags: str | None) -> list[GivenSetting]:
    """Return every setting in the order of names, with its default if it is not set.

    The source of a default is `default`. Raise ConfigurationError if the file cannot be read.
    """
    found = {name: (text, source) for name, text, source in given(None, dotenv, flags)}
    defaults = {field.name.upper(): (_text(field.default), "default") for field in fields(Config)}
    merged = sorted((defaults | found).items())
    return [GivenSetting(name, without_secrets(name, text), source) for name, (text, source) in merged]


def without_secrets(name: str, text: str) -> str:
    """Return a setting's text without secrets. Control characters become question marks."""
    if name in URLS:
        text = _url_without_secrets(text)
    elif text and name not in OPEN:
        text = HIDDEN
    return "".join(each if each.isprintable() else "?" for each in text)


def _url_without_secrets(url: str) -> str:
    """Hide the whole text unless it is exactly a URL: any other part may belong to a secret."""
    found = _URL.fullmatch(url)
    # A colon that is neither a port's nor in the brackets of IPv6 may begin a password.
    if found is None or ":" in re.sub(r"\[[^\]]*\]|:\d+(?=,)", "", found["hosts"]):
        return HIDDEN if url else ""
    user, colon, _ = (found["login"] or "").partition(":")
    login = f"{user}:{HIDDEN}@" if colon else f"{HIDDEN}@" if user else ""
    query = "" if found["query"] is None else f"?{'&'.join(map(_parameter, found['query'].split('&')))}"
    return f"{found['scheme']}://{login}{found['hosts']}{found['ports']}{found['path'] or ''}{query}"


def _parameter(text: str) -> str:
    name, _, value = text.partition("=")
    return f"{name}={value}" if name in _PARAMETERS else HIDDEN


def _text(value: Any) -> str:
    """Return a default as a person would write it in `.env`, empty if there is none."""
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(value) if isinstance(value, tuple) else str("" if value is None else value)
