"""Where the settings come from: flags, the environment, `.env` and defaults."""

import os
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from dotenv import dotenv_values

from todo_api.config import settings
from todo_api.config.config import Config
from todo_api.config.errors import ConfigurationError, refuse

_NUMBERS = (
    {"PORT", "WEB_CONCURRENCY", "THREADS", "CLIENT_CONNECTIONS", "HEAD_TIMEOUT", "BODY_TIMEOUT", "IDLE_TIMEOUT"}
    | {"QUEUE_LIMIT", "JWT_LIFETIME", "SESSION_LIFETIME", "JWT_LEEWAY", "JWT_MAX_LIFETIME"}
    | {f"JWT_KEYS_{name}" for name in ("TTL", "MAX_STALE", "COOLDOWN", "TIMEOUT")}
)
_LISTS = {"CORS_ORIGINS", "TRUSTED_PROXIES"} | {
    f"JWT_{name}" for name in ("AUDIENCE", "AUTHORIZED_PARTIES", "ALGORITHMS", "REQUIRED_CLAIMS")
}
_PATHS = {"DATA_DIR", "JWT_KEY_FILE", "JWT_CA_FILE", "SMTP_CA_FILE", "MAIL_TEMPLATES"}
_SWITCHES = {"JWT_DISCOVERY"}


def load_config(
    environment: Mapping[str, str] | None = None, dotenv: Path = Path(".env"), **flags: str | None
) -> Config:
    """Return the configuration. Flags come first, then environment, `.env` and defaults.

    An empty value counts as unset. Raise ConfigurationError.
    """
    environment = os.environ if environment is None else environment
    sources = (
        {name.upper(): value for name, value in flags.items()},
        environment,
        _settings_of(dotenv),
    )
    values: dict[str, Any] = {}
    texts: dict[str, str] = {}
    for field in fields(Config):
        name = field.name.upper()
        text = next((value for source in sources if (value := source.get(name))), None)
        if text is not None:
            refuse(name, settings.text_flaw(text))
            texts[name] = text
            values[field.name] = _convert(name, text)
    config = Config(**values)
    for name, text in texts.items():
        refuse(name, settings.control_flaw(text))
    return config


def unknown_settings(dotenv: Path = Path(".env")) -> list[str]:
    """Return a line for each unknown name in `.env`. Others share the environment."""
    known = [field.name.upper() for field in fields(Config)]
    return [f"{dotenv}: {line}" for line in settings.unknown(_settings_of(dotenv), known)]


def has_inherited_socket() -> bool:
    """Return whether to serve on a socket of systemd (sd_listen_fds(3)) or of SIGUSR2."""
    return os.environ.get("LISTEN_PID") == str(os.getpid()) or "GUNICORN_FD" in os.environ


def _settings_of(dotenv: Path) -> Mapping[str, str | None]:
    try:
        # Windows writes a byte order mark.
        return dotenv_values(dotenv, encoding="utf-8-sig") if dotenv.is_file() else {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{dotenv} cannot be read as text in UTF-8: mend or remove it.") from error


def _convert(name: str, text: str) -> Any:
    if name in _NUMBERS:
        if not (text.isascii() and text.isdigit()):
            raise ConfigurationError(f"{name} must be a whole number.")
        return int(text)
    if name in _LISTS:
        return tuple(part.strip() for part in text.split(",") if part.strip())
    if name in _PATHS:
        return Path(text)
    if name in _SWITCHES:
        if text.lower() not in ("true", "false"):
            raise ConfigurationError(f"{name} must be true or false.")
        return text.lower() == "true"
    return text.upper() if name == "LOG_LEVEL" else text
