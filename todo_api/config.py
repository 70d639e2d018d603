"""The configuration: one frozen value, read once."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dotenv import dotenv_values

OWN_ISSUER = "task-api"
MINIMUM_SECRET_BYTES = 32
MINIMUM_SECRET_CHARACTERS = 8
KNOWN_SECRETS = ("secret", "changeme", "change-me", "password", "better-auth-secret", "your-secret", "example")


class ConfigurationError(Exception):
    """A setting is missing or wrong. The message names it and says the way out, in one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything the service can be told. The environment variable of a field is its name in capitals."""

    database_url: str | None = None
    data_dir: Path = Path("data")
    host: str = "127.0.0.1"
    port: int = 8000
    web_concurrency: int = 2
    threads: int = 8
    jwt_secret: str = ""
    jwt_issuer: str | None = None
    jwt_audience: str = "task-api"
    jwt_lifetime: int = 3600
    cors_origins: tuple[str, ...] = ()
    log_level: str = "INFO"
    security_contact: str | None = None
    security_expires: str | None = None

    def __post_init__(self) -> None:
        _within("PORT", self.port, 0, 65535)
        _within("WEB_CONCURRENCY", self.web_concurrency, 1, 1024)
        _within("THREADS", self.threads, 1, 256)
        _within("JWT_LIFETIME", self.jwt_lifetime, 1, 86400)
        if self.log_level not in ("DEBUG", "INFO", "WARNING", "ERROR"):
            raise ConfigurationError("LOG_LEVEL must be DEBUG, INFO, WARNING or ERROR.")
        if self.database_url is not None and not self.database_url.startswith(("postgres://", "postgresql://")):
            raise ConfigurationError("DATABASE_URL must start with postgresql:// or postgres://.")
        if "*" in self.cors_origins:
            raise ConfigurationError("CORS_ORIGINS must name exact origins, such as https://app.example.com, not *.")
        _check_security_txt(self.security_contact, self.security_expires)
        if self.jwt_secret:
            check_secret(self.jwt_secret)

    @property
    def own_accounts(self) -> bool:
        """Whether the service issues its own tokens. Else the issuer of `jwt_issuer` does."""
        return self.jwt_issuer is None

    @property
    def issuer(self) -> str:
        """The exact `iss` that a token must have."""
        return self.jwt_issuer or OWN_ISSUER


def _within(name: str, value: int, lowest: int, highest: int) -> None:
    if not lowest <= value <= highest:
        raise ConfigurationError(f"{name} must be a whole number from {lowest} to {highest}.")


def _check_security_txt(contact: str | None, expires: str | None) -> None:
    """Both or none, each as RFC 9116, sections 2.5.3 and 2.5.5, wants it."""
    if (contact is None) != (expires is None):
        raise ConfigurationError("SECURITY_CONTACT and SECURITY_EXPIRES go together: security.txt needs both.")
    if contact is not None and not re.fullmatch(r"(mailto:|https://|tel:)[!-~]+", contact):
        raise ConfigurationError("SECURITY_CONTACT must be a URI: mailto:..., https://... or tel:...")
    if expires is not None and not _is_time(expires):
        raise ConfigurationError("SECURITY_EXPIRES must be a time in UTC, such as 2027-01-31T00:00:00Z.")


def _is_time(text: str) -> bool:
    try:
        datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        return False
    return True


def check_secret(secret: str) -> None:
    """Refuses a secret that is short (RFC 7518, section 3.2) or known. The message does not repeat it."""
    if len(secret.encode()) < MINIMUM_SECRET_BYTES:
        raise ConfigurationError(f"JWT_SECRET must have at least {MINIMUM_SECRET_BYTES} bytes: openssl rand -base64 48")
    if len(set(secret)) < MINIMUM_SECRET_CHARACTERS or secret.lower().startswith(KNOWN_SECRETS):
        raise ConfigurationError("JWT_SECRET is a known or guessable value. Make one: openssl rand -base64 48")


def load_config(
    environment: Mapping[str, str] | None = None, dotenv: Path = Path(".env"), **flags: str | None
) -> Config:
    """The configuration from flags, else the environment, else the `.env` file, else the defaults.

    An empty value counts as not set. Raises ConfigurationError, naming the variable.
    """
    environment = os.environ if environment is None else environment
    sources = (
        {name.upper(): value for name, value in flags.items()},
        environment,
        _settings_of(dotenv),
    )
    values: dict[str, Any] = {}
    for field in fields(Config):
        name = field.name.upper()
        text = next((value for source in sources if (value := source.get(name))), None)
        if text is not None:
            values[field.name] = _convert(name, text)
    return Config(**values)


def _settings_of(dotenv: Path) -> Mapping[str, str | None]:
    try:
        return dotenv_values(dotenv) if dotenv.is_file() else {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{dotenv} cannot be read as text in UTF-8: mend or remove it.") from error


def _convert(name: str, text: str) -> Any:
    match name:
        case "PORT" | "WEB_CONCURRENCY" | "THREADS" | "JWT_LIFETIME":
            if not (text.isascii() and text.isdigit()):
                raise ConfigurationError(f"{name} must be a whole number.")
            return int(text)
        case "DATA_DIR":
            return Path(text)
        case "CORS_ORIGINS":
            return tuple(origin.strip() for origin in text.split(",") if origin.strip())
        case "LOG_LEVEL":
            return text.upper()
    return text
