"""The configuration: one frozen value, read once."""

import os
import re
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from todo_api.config import mail, origins, settings
from todo_api.config.errors import ConfigurationError, refuse
from todo_api.config.issuer import (
    DEFAULT_PUBLIC_ALGORITHMS,
    DEFAULT_SECRET_ALGORITHMS,
    check_external_issuer,
    check_own_issuer,
    check_secret,
)
from todo_api.config.roles import ROLE_PREFIX
from todo_api.contract import is_date_time

OWN_ISSUER = "task-api"
OWN_AUDIENCE = "task-api"
CONNECTIONS = 96
"""Default maximum of connections of all workers. PostgreSQL's default limit is 100."""

SLOTS = 12
"""Default of concurrent database requests of a worker. Some are on their way to the database."""

UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
"""Units of time for rates, in seconds."""


def bounded(default: float | None, lowest: int, highest: int) -> Any:
    """Return the field of a number within the bounds."""
    return field(default=default, metadata={"bounds": (lowest, highest)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """All settings. A field's environment variable is its name in capitals."""

    database_url: str | None = None
    database_role_prefix: str = ROLE_PREFIX
    data_dir: Path = Path("data")
    trash_days: int = bounded(30, 0, 365)
    history_days: int = bounded(90, 1, 3650)
    public_url: str | None = None
    host: str = "127.0.0.1"
    port: int = bounded(8000, 0, 65535)
    web_concurrency: int | None = bounded(None, 1, 1024)
    threads: int | None = bounded(None, 1, 256)
    queue_limit: int = bounded(150, 1, 60000)
    client_connections: int = bounded(2048, 1, 65536)
    head_timeout: int = bounded(10, 1, 300)
    body_timeout: int = bounded(30, 1, 300)
    idle_timeout: int = bounded(75, 1, 3600)
    jwt_secret: str = ""
    jwt_issuer: str | None = None
    jwt_jwks_url: str | None = None
    jwt_discovery: bool = False
    jwt_key_file: Path | None = None
    jwt_audience: tuple[str, ...] = ()
    jwt_authorized_parties: tuple[str, ...] = ()
    jwt_algorithms: tuple[str, ...] = ()
    jwt_required_claims: tuple[str, ...] = ()
    jwt_leeway: int = bounded(60, 0, 300)
    jwt_max_lifetime: int | None = bounded(None, 1, 31536000)
    jwt_keys_ttl: float = bounded(300, 1, 86400)
    jwt_keys_max_stale: float = bounded(86400, 0, 604800)
    jwt_keys_cooldown: float = bounded(5, 1, 300)
    jwt_keys_timeout: float = bounded(3, 1, 30)
    jwt_ca_file: Path | None = None
    jwt_lifetime: int = bounded(900, 1, 86400)
    session_lifetime: int = bounded(2592000, 60, 31536000)
    smtp_url: str | None = None
    smtp_ca_file: Path | None = None
    mail_from: str | None = None
    mail_templates: Path | None = None
    password_reset_url: str | None = None
    email_verification: str = "off"
    email_verification_url: str | None = None
    cursor_secret: str = ""
    cors_origins: tuple[str, ...] = ()
    rate_limit: str = "600/minute"
    rate_limit_storage_url: str | None = None
    trusted_proxies: tuple[str, ...] = ()
    log_level: str = "INFO"
    log_format: str = "text"
    otel_exporter_otlp_endpoint: str | None = None
    security_contact: str | None = None
    security_expires: str | None = None

    mcp_url: str = "http://localhost:8000"
    mcp_token: str = ""

    def __post_init__(self) -> None:
        if self.log_level not in ("DEBUG", "INFO", "WARNING", "ERROR"):
            raise ConfigurationError("LOG_LEVEL must be DEBUG, INFO, WARNING or ERROR.")
        if self.log_format not in ("json", "text"):
            raise ConfigurationError("LOG_FORMAT must be json or text.")
        if self.database_url is not None and not self.database_url.startswith(("postgres://", "postgresql://")):
            raise ConfigurationError("DATABASE_URL must start with postgresql:// or postgres://.")
        refuse("DATABASE_ROLE_PREFIX", settings.role_prefix_flaw(self.database_role_prefix))
        refuse("PUBLIC_URL", None if self.public_url is None else settings.public_url_flaw(self.public_url))
        refuse("HOST", settings.host_flaw(self.host))
        for origin in self.cors_origins:
            refuse("CORS_ORIGINS", origins.flaw(origin))
        _check_limits(self)
        refuse(*mail.flaw(self))
        _check_servers(self)
        _check_security_txt(self.security_contact, self.security_expires)
        if self.jwt_secret:
            check_secret(self.jwt_secret)
        if self.cursor_secret:
            check_secret(self.cursor_secret, "CURSOR_SECRET")
        if self.builtin_issuer:
            check_own_issuer(self)
        else:
            check_external_issuer(self)
        for each in fields(self):
            _check_bounds(each, getattr(self, each.name))

    @property
    def public_path(self) -> str:
        """Return the path of the public URL, without a slash at its end. Often it is empty."""
        return "" if self.public_url is None else urlsplit(self.public_url).path.rstrip("/")

    @property
    def workers(self) -> int:
        """Return the number of worker processes; by default one per available core."""
        if self.web_concurrency is not None:
            return self.web_concurrency
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

    @property
    def max_concurrency(self) -> int:
        """Return the maximum of concurrent database requests of a worker: `SLOTS` by default."""
        return self.threads if self.threads is not None else min(SLOTS, max(1, CONNECTIONS // self.workers - 1))

    @property
    def rate(self) -> tuple[int, int] | None:
        """Return the rate limit of a user as requests and seconds, None without a limit."""
        if self.rate_limit == "off":
            return None
        count, _, unit = self.rate_limit.partition("/")
        return int(count), UNITS[unit]

    @property
    def smtp_server(self) -> mail.SmtpServer | None:
        """Return the server of mail, None if the service sends none."""
        return None if self.smtp_url is None else mail.smtp_server(self.smtp_url, self.smtp_ca_file)

    @property
    def verifies_email(self) -> bool:
        """Return whether an account has to verify its e-mail address before it signs in."""
        return self.email_verification == "required"

    @property
    def builtin_issuer(self) -> bool:
        """Return whether the service issues its own tokens, else `jwt_issuer` does."""
        return self.jwt_issuer is None

    @property
    def issuer(self) -> str:
        """Return the exact `iss` that a token must have."""
        return self.jwt_issuer or OWN_ISSUER

    @property
    def own_audience(self) -> str:
        """Return the `aud` of the service's own tokens."""
        return self.jwt_audience[0] if self.jwt_audience else OWN_AUDIENCE

    @property
    def algorithms(self) -> tuple[str, ...]:
        """Return the signature algorithms of an external issuer's tokens, all of one family."""
        default = DEFAULT_SECRET_ALGORITHMS if self.jwt_secret else DEFAULT_PUBLIC_ALGORITHMS
        named = ("EdDSA" if name == "Ed25519" else name for name in self.jwt_algorithms)
        return tuple(dict.fromkeys(named)) or default


def _check_bounds(setting: "Field[Any]", value: Any) -> None:
    if value is not None and "bounds" in setting.metadata:
        lowest, highest = setting.metadata["bounds"]
        if not lowest <= value <= highest:
            raise ConfigurationError(f"{setting.name.upper()} must be a whole number from {lowest} to {highest}.")


def _check_servers(config: Config) -> None:
    """Check the URLs of servers. Plain http is allowed for a local collector."""
    endpoint = config.otel_exporter_otlp_endpoint
    if endpoint is not None and not settings.server_url(endpoint, ("http", "https")):
        raise ConfigurationError("OTEL_EXPORTER_OTLP_ENDPOINT must be a URL, such as http://localhost:4318")
    if not settings.server_url(config.mcp_url, ("http", "https")):
        raise ConfigurationError("MCP_URL must be a URL, such as http://localhost:8000")


def _check_limits(config: Config) -> None:
    if config.rate_limit != "off" and not re.fullmatch(rf"[1-9][0-9]{{0,6}}/({'|'.join(UNITS)})", config.rate_limit):
        raise ConfigurationError(f"RATE_LIMIT must be off, or such as 600/minute; units are {', '.join(UNITS)}.")
    url = config.rate_limit_storage_url
    parts = url and settings.server_url(url, ("redis", "rediss"), with_user=True)
    if url is not None and not (parts and re.fullmatch("/?|/[0-9]{1,9}", parts.path)):
        raise ConfigurationError("RATE_LIMIT_STORAGE_URL must be a URL: redis://host:port/0 or rediss://host:port/0")
    refuse("TRUSTED_PROXIES", settings.networks_flaw(config.trusted_proxies))


def _check_security_txt(contact: str | None, expires: str | None) -> None:
    """Check for both or none, each as RFC 9116, sections 2.5.3 and 2.5.5, requires."""
    if (contact is None) != (expires is None):
        raise ConfigurationError("SECURITY_CONTACT and SECURITY_EXPIRES go together: security.txt needs both.")
    if contact is not None and not re.fullmatch(r"(mailto:|https://|tel:)[!-~]+", contact):
        raise ConfigurationError("SECURITY_CONTACT must be a URI: mailto:..., https://... or tel:...")
    if expires is not None and not is_date_time(expires):
        raise ConfigurationError("SECURITY_EXPIRES must be a time with its offset, such as 2027-01-31T00:00:00Z.")
