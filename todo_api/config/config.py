"""The configuration: one frozen value, read once."""

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dotenv import dotenv_values

from todo_api.config import mail, origins, settings
from todo_api.config.roles import ROLE_PREFIX
from todo_api.contract import is_date_time

OWN_ISSUER = "task-api"
OWN_AUDIENCE = "task-api"
PUBLIC_ALGORITHMS = ("EdDSA", "ES256", "ES384", "ES512", "RS256", "PS256", "RS384", "RS512", "PS384", "PS512")
"""Signature algorithms with public keys; `Ed25519` (RFC 9864) is EdDSA. Six are the default."""

SECRET_ALGORITHMS = {"HS256": 32, "HS384": 48, "HS512": 64}
"""Signature algorithms with a shared secret, and its minimum bytes (RFC 7518, section 3.2)."""

DEFAULT_PUBLIC_ALGORITHMS = PUBLIC_ALGORITHMS[:6]
DEFAULT_SECRET_ALGORITHMS = ("HS256",)
CONNECTIONS = 96
"""Default maximum of connections of all workers. PostgreSQL's default limit is 100."""

UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
"""Units of time for rates, in seconds."""

MINIMUM_SECRET_BYTES = 32
MINIMUM_SECRET_CHARACTERS = 8
KNOWN_SECRETS = ("secret", "changeme", "change-me", "password", "better-auth-secret", "your-secret", "example")

_NUMBERS = (
    {"PORT", "WEB_CONCURRENCY", "THREADS", "CLIENT_CONNECTIONS", "HEAD_TIMEOUT", "BODY_TIMEOUT", "IDLE_TIMEOUT"}
    | {"QUEUE_LIMIT", "JWT_LIFETIME", "SESSION_LIFETIME", "JWT_LEEWAY", "JWT_MAX_LIFETIME"}
    | {f"JWT_KEYS_{name}" for name in ("TTL", "MAX_STALE", "COOLDOWN", "TIMEOUT")}
)
_LISTS = {"CORS_ORIGINS", "TRUSTED_PROXIES"} | {
    f"JWT_{name}" for name in ("AUDIENCE", "AUTHORIZED_PARTIES", "ALGORITHMS", "REQUIRED_CLAIMS")
}
_PATHS = {"DATA_DIR", "JWT_KEY_FILE", "JWT_CA_FILE", "SMTP_CA_FILE", "MAIL_TEMPLATES"}
_OF_FETCHED_KEYS = ("jwt_keys_ttl", "jwt_keys_max_stale", "jwt_keys_cooldown", "jwt_keys_timeout")
_SWITCHES = {"JWT_DISCOVERY"}


class ConfigurationError(Exception):
    """A setting is missing or invalid. The message is one line with its name and a remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """All settings. A field's environment variable is its name in capitals."""

    database_url: str | None = None
    database_role_prefix: str = ROLE_PREFIX
    data_dir: Path = Path("data")
    host: str = "127.0.0.1"
    port: int = 8000
    web_concurrency: int | None = None
    threads: int | None = None
    queue_limit: int = 150
    client_connections: int = 2048
    head_timeout: int = 10
    body_timeout: int = 30
    idle_timeout: int = 75
    jwt_secret: str = ""
    jwt_issuer: str | None = None
    jwt_jwks_url: str | None = None
    jwt_discovery: bool = False
    jwt_key_file: Path | None = None
    jwt_audience: tuple[str, ...] = ()
    jwt_authorized_parties: tuple[str, ...] = ()
    jwt_algorithms: tuple[str, ...] = ()
    jwt_required_claims: tuple[str, ...] = ()
    jwt_leeway: int = 60
    jwt_max_lifetime: int | None = None
    jwt_keys_ttl: float = 300
    jwt_keys_max_stale: float = 86400
    jwt_keys_cooldown: float = 5
    jwt_keys_timeout: float = 3
    jwt_ca_file: Path | None = None
    jwt_lifetime: int = 900
    session_lifetime: int = 2592000
    smtp_url: str | None = None
    smtp_ca_file: Path | None = None
    mail_from: str | None = None
    mail_templates: Path | None = None
    password_reset_url: str | None = None
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
        _within("PORT", self.port, 0, 65535)
        _within("WEB_CONCURRENCY", self.workers, 1, 1024)
        _within("THREADS", self.max_concurrency, 1, 256)
        _within("QUEUE_LIMIT", self.queue_limit, 1, 60000)
        _within("CLIENT_CONNECTIONS", self.client_connections, 1, 65536)
        _within("HEAD_TIMEOUT", self.head_timeout, 1, 300)
        _within("BODY_TIMEOUT", self.body_timeout, 1, 300)
        _within("IDLE_TIMEOUT", self.idle_timeout, 1, 3600)
        _within("JWT_LIFETIME", self.jwt_lifetime, 1, 86400)
        _within("SESSION_LIFETIME", self.session_lifetime, 60, 31536000)
        _within("JWT_LEEWAY", self.jwt_leeway, 0, 300)
        if self.jwt_max_lifetime is not None:
            _within("JWT_MAX_LIFETIME", self.jwt_max_lifetime, 1, 31536000)
        if self.log_level not in ("DEBUG", "INFO", "WARNING", "ERROR"):
            raise ConfigurationError("LOG_LEVEL must be DEBUG, INFO, WARNING or ERROR.")
        if self.log_format not in ("json", "text"):
            raise ConfigurationError("LOG_FORMAT must be json or text.")
        if self.database_url is not None and not self.database_url.startswith(("postgres://", "postgresql://")):
            raise ConfigurationError("DATABASE_URL must start with postgresql:// or postgres://.")
        _refuse("DATABASE_ROLE_PREFIX", settings.role_prefix_flaw(self.database_role_prefix))
        _refuse("HOST", settings.host_flaw(self.host))
        for origin in self.cors_origins:
            _refuse("CORS_ORIGINS", origins.flaw(origin))
        _check_limits(self)
        _refuse(*mail.flaw(self))
        _check_servers(self)
        _check_security_txt(self.security_contact, self.security_expires)
        if self.jwt_secret:
            check_secret(self.jwt_secret)
        if self.cursor_secret:
            check_secret(self.cursor_secret, "CURSOR_SECRET")
        if self.builtin_issuer:
            _check_own_issuer(self)
        else:
            _check_external_issuer(self)

    @property
    def workers(self) -> int:
        """Return the number of worker processes; by default one per available core."""
        if self.web_concurrency is not None:
            return self.web_concurrency
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

    @property
    def max_concurrency(self) -> int:
        """Return the maximum of concurrent database requests of a worker: at most 8 by default."""
        return self.threads if self.threads is not None else min(8, max(1, CONNECTIONS // self.workers - 1))

    @property
    def rate(self) -> tuple[int, int] | None:
        """Return the rate limit of a user as requests and seconds, None without a limit."""
        if self.rate_limit == "off":
            return None
        count, _, unit = self.rate_limit.partition("/")
        return int(count), UNITS[unit]

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


def _refuse(name: str, flaw: str | None) -> None:
    """Raise ConfigurationError if the setting has a flaw."""
    if flaw is not None:
        raise ConfigurationError(f"{name} {flaw}")


def _refuse_idle(config: Config, names: tuple[str, ...], why: str) -> None:
    """Raise ConfigurationError for settings that are set but have no effect."""
    defaults = {field.name: field.default for field in fields(Config)}
    for name in names:
        if getattr(config, name) != defaults[name]:
            raise ConfigurationError(f"{name.upper()} {why}")


def _within(name: str, value: float, lowest: int, highest: int) -> None:
    if not lowest <= value <= highest:
        raise ConfigurationError(f"{name} must be a whole number from {lowest} to {highest}.")


def _check_own_issuer(config: Config) -> None:
    external = {
        "JWT_JWKS_URL": config.jwt_jwks_url,
        "JWT_DISCOVERY": config.jwt_discovery,
        "JWT_KEY_FILE": config.jwt_key_file,
        "JWT_AUTHORIZED_PARTIES": config.jwt_authorized_parties,
        "JWT_ALGORITHMS": config.jwt_algorithms,
        "JWT_REQUIRED_CLAIMS": config.jwt_required_claims,
        "JWT_MAX_LIFETIME": config.jwt_max_lifetime,
        "JWT_CA_FILE": config.jwt_ca_file,
    }
    for name, value in external.items():
        if value:
            raise ConfigurationError(f"{name} is for an external issuer: set JWT_ISSUER, the exact iss of its tokens.")
    _refuse_idle(config, _OF_FETCHED_KEYS, "is for an external issuer: set JWT_ISSUER, the exact iss of its tokens.")
    if len(config.jwt_audience) > 1:
        raise ConfigurationError("JWT_AUDIENCE must be one name where the service issues its own tokens.")


def _check_external_issuer(config: Config) -> None:
    sources = {
        "JWT_JWKS_URL": config.jwt_jwks_url,
        "JWT_DISCOVERY": config.jwt_discovery,
        "JWT_KEY_FILE": config.jwt_key_file,
        "JWT_SECRET": config.jwt_secret,
    }
    given = [name for name, value in sources.items() if value]
    if not given:
        raise ConfigurationError(f"JWT_ISSUER needs the issuer's keys: set one of {', '.join(sources)}.")
    if len(given) > 1:
        raise ConfigurationError(f"{' and '.join(given)} are set: the issuer's keys must come from one of them alone.")
    if not config.jwt_audience and not config.jwt_authorized_parties:
        raise ConfigurationError(
            "JWT_AUDIENCE is missing: name the aud of the issuer's tokens, or in JWT_AUTHORIZED_PARTIES their azp."
        )
    for name in ("jwt_audience", "jwt_authorized_parties"):
        if "" in getattr(config, name):
            raise ConfigurationError(f"{name.upper()} must have no empty name.")
    _check_algorithms(config)
    own = "is for the service's own tokens, and JWT_ISSUER is set: unset it. Tokens of an issuer have JWT_MAX_LIFETIME."
    _refuse_idle(config, ("jwt_lifetime", "session_lifetime"), own)
    _check_fetched_keys(config)
    for claim in config.jwt_required_claims:
        if not claim.partition("=")[0]:
            raise ConfigurationError("JWT_REQUIRED_CLAIMS must be names or name=value, comma-separated.")


def _check_fetched_keys(config: Config) -> None:
    _within("JWT_KEYS_TTL", config.jwt_keys_ttl, 1, 86400)
    _within("JWT_KEYS_MAX_STALE", config.jwt_keys_max_stale, 0, 604800)
    _within("JWT_KEYS_COOLDOWN", config.jwt_keys_cooldown, 1, 300)
    _within("JWT_KEYS_TIMEOUT", config.jwt_keys_timeout, 1, 30)
    if config.jwt_jwks_url is not None:
        check_url("JWT_JWKS_URL", config.jwt_jwks_url)
    if config.jwt_discovery:
        check_url("JWT_ISSUER", config.issuer)
        if "?" in config.issuer or "#" in config.issuer:
            raise ConfigurationError("JWT_ISSUER must have no ? and no # with JWT_DISCOVERY: set JWT_JWKS_URL instead.")
    if config.jwt_ca_file and not (config.jwt_jwks_url or config.jwt_discovery):
        raise ConfigurationError("JWT_CA_FILE is for JWT_JWKS_URL and JWT_DISCOVERY: nothing else is fetched.")


def _check_algorithms(config: Config) -> None:
    allowed = SECRET_ALGORITHMS if config.jwt_secret else PUBLIC_ALGORITHMS
    for name in config.algorithms:
        if name not in allowed:
            kind = "a shared secret" if config.jwt_secret else "public keys"
            raise ConfigurationError(f"JWT_ALGORITHMS must be of these, with {kind}: {', '.join(allowed)}.")
        if config.jwt_secret and len(config.jwt_secret.encode()) < SECRET_ALGORITHMS[name]:
            raise ConfigurationError(f"JWT_SECRET must have at least {SECRET_ALGORITHMS[name]} bytes for {name}.")


def check_url(name: str, url: str) -> None:
    """Raise ConfigurationError unless the URL is https, or http on this machine."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if (
        not host
        or parts.scheme not in ("https", "http")
        or parts.username is not None
        or not re.fullmatch("[!-~]+", url)
    ):
        raise ConfigurationError(f"{name} must be a URL: https://host/path")
    if parts.scheme == "http" and not _is_loopback(host):
        raise ConfigurationError(f"{name} must be https. Plain http is only for addresses of this machine.")


def _check_servers(config: Config) -> None:
    """Check the URLs of servers. Plain http is allowed for a local collector."""
    endpoint = config.otel_exporter_otlp_endpoint
    if endpoint is not None and not settings.is_server(endpoint, ("http", "https")):
        raise ConfigurationError("OTEL_EXPORTER_OTLP_ENDPOINT must be a URL, such as http://localhost:4318")
    if not settings.is_server(config.mcp_url, ("http", "https")):
        raise ConfigurationError("MCP_URL must be a URL, such as http://localhost:8000")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _check_limits(config: Config) -> None:
    if config.rate_limit != "off" and not re.fullmatch(rf"[1-9][0-9]{{0,6}}/({'|'.join(UNITS)})", config.rate_limit):
        raise ConfigurationError(f"RATE_LIMIT must be off, or such as 600/minute; units are {', '.join(UNITS)}.")
    url = config.rate_limit_storage_url
    if url is not None and not settings.is_server(url, ("redis", "rediss"), with_user=True):
        raise ConfigurationError("RATE_LIMIT_STORAGE_URL must be a URL: redis://host:port/0 or rediss://host:port/0")
    _refuse("TRUSTED_PROXIES", settings.networks_flaw(config.trusted_proxies))


def _check_security_txt(contact: str | None, expires: str | None) -> None:
    """Check for both or none, each as RFC 9116, sections 2.5.3 and 2.5.5, requires."""
    if (contact is None) != (expires is None):
        raise ConfigurationError("SECURITY_CONTACT and SECURITY_EXPIRES go together: security.txt needs both.")
    if contact is not None and not re.fullmatch(r"(mailto:|https://|tel:)[!-~]+", contact):
        raise ConfigurationError("SECURITY_CONTACT must be a URI: mailto:..., https://... or tel:...")
    if expires is not None and not is_date_time(expires):
        raise ConfigurationError("SECURITY_EXPIRES must be a time with its offset, such as 2027-01-31T00:00:00Z.")


def check_secret(secret: str, name: str = "JWT_SECRET") -> None:
    """Raise ConfigurationError for a short (RFC 7518, section 3.2) or well-known secret."""
    if len(secret.encode()) < MINIMUM_SECRET_BYTES:
        raise ConfigurationError(f"{name} must have at least {MINIMUM_SECRET_BYTES} bytes: openssl rand -base64 48")
    if len(set(secret)) < MINIMUM_SECRET_CHARACTERS or secret.lower().startswith(KNOWN_SECRETS):
        raise ConfigurationError(f"{name} is a known or guessable value. Make one: openssl rand -base64 48")


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
            _refuse(name, settings.text_flaw(text))
            texts[name] = text
            values[field.name] = _convert(name, text)
    config = Config(**values)
    for name, text in texts.items():
        _refuse(name, settings.control_flaw(text))
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
