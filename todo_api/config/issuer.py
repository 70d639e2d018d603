"""The settings of the issuer of tokens: the service's own, or an external one."""

import re
from dataclasses import fields
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from todo_api.config.errors import ConfigurationError
from todo_api.config.settings import is_loopback

if TYPE_CHECKING:
    from todo_api.config.config import Config

PUBLIC_ALGORITHMS = ("EdDSA", "ES256", "ES384", "ES512", "RS256", "PS256", "RS384", "RS512", "PS384", "PS512")
"""Signature algorithms with public keys, the default ones first. EdDSA is Ed25519 (RFC 9864)."""

SECRET_ALGORITHMS = {"HS256": 32, "HS384": 48, "HS512": 64}
"""Signature algorithms with a shared secret: its minimum bytes (RFC 7518, section 3.2)."""

DEFAULT_PUBLIC_ALGORITHMS = PUBLIC_ALGORITHMS[:6]
DEFAULT_SECRET_ALGORITHMS = ("HS256",)

MINIMUM_SECRET_BYTES = 32
MINIMUM_SECRET_CHARACTERS = 8
KNOWN_SECRETS = ("secret", "changeme", "change-me", "password", "better-auth-secret", "your-secret", "example")

_KEY_SOURCES = ("jwt_jwks_url", "jwt_discovery", "jwt_key_file", "jwt_secret")
"""Settings that name where an external issuer's keys are, or are its key. One of them is set."""

_OF_EXTERNAL = (
    *("jwt_jwks_url", "jwt_discovery", "jwt_key_file", "jwt_authorized_parties", "jwt_algorithms"),
    *("jwt_required_claims", "jwt_max_lifetime", "jwt_ca_file"),
    *("jwt_keys_ttl", "jwt_keys_max_stale", "jwt_keys_cooldown", "jwt_keys_timeout"),
)
"""Settings that only an external issuer uses."""


def check_own_issuer(config: "Config") -> None:
    """Raise ConfigurationError for settings that only an external issuer uses."""
    _refuse_idle(config, _OF_EXTERNAL, "is for an external issuer: set JWT_ISSUER, the exact iss of its tokens.")
    if len(config.jwt_audience) > 1:
        raise ConfigurationError("JWT_AUDIENCE must be one name where the service issues its own tokens.")


def check_external_issuer(config: "Config") -> None:
    """Raise ConfigurationError unless the tokens of an external issuer can be verified."""
    given = [name.upper() for name in _KEY_SOURCES if getattr(config, name)]
    if not given:
        raise ConfigurationError(f"JWT_ISSUER needs the issuer's keys: set one of {', '.join(_KEY_SOURCES).upper()}.")
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
    why = "is for the service's own tokens, and JWT_ISSUER is set: unset it. Tokens of an issuer have JWT_MAX_LIFETIME."
    _refuse_idle(config, ("jwt_lifetime", "session_lifetime"), why)
    _check_fetched_keys(config)
    for claim in config.jwt_required_claims:
        if not claim.partition("=")[0]:
            raise ConfigurationError("JWT_REQUIRED_CLAIMS must be names or name=value, comma-separated.")


def _check_fetched_keys(config: "Config") -> None:
    if config.jwt_jwks_url is not None:
        check_url("JWT_JWKS_URL", config.jwt_jwks_url)
    if config.jwt_discovery:
        check_url("JWT_ISSUER", config.issuer)
        if "?" in config.issuer or "#" in config.issuer:
            raise ConfigurationError("JWT_ISSUER must have no ? and no # with JWT_DISCOVERY: set JWT_JWKS_URL instead.")
    if config.jwt_ca_file and not (config.jwt_jwks_url or config.jwt_discovery):
        raise ConfigurationError("JWT_CA_FILE is for JWT_JWKS_URL and JWT_DISCOVERY: nothing else is fetched.")


def _check_algorithms(config: "Config") -> None:
    allowed = SECRET_ALGORITHMS if config.jwt_secret else PUBLIC_ALGORITHMS
    for name in config.algorithms:
        if name not in allowed:
            kind = "a shared secret" if config.jwt_secret else "public keys"
            raise ConfigurationError(f"JWT_ALGORITHMS must be of these, with {kind}: {', '.join(allowed)}.")
        if config.jwt_secret and len(config.jwt_secret.encode()) < SECRET_ALGORITHMS[name]:
            raise ConfigurationError(f"JWT_SECRET must have at least {SECRET_ALGORITHMS[name]} bytes for {name}.")


def _refuse_idle(config: "Config", names: tuple[str, ...], why: str) -> None:
    """Raise ConfigurationError for settings that are set but have no effect."""
    defaults = {field.name: field.default for field in fields(config)}
    for name in names:
        if getattr(config, name) != defaults[name]:
            raise ConfigurationError(f"{name.upper()} {why}")


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
    if parts.scheme == "http" and not is_loopback(host):
        raise ConfigurationError(f"{name} must be https. Plain http is only for addresses of this machine.")


def check_secret(secret: str, name: str = "JWT_SECRET") -> None:
    """Raise ConfigurationError for a short (RFC 7518, section 3.2) or well-known secret."""
    if len(secret.encode()) < MINIMUM_SECRET_BYTES:
        raise ConfigurationError(f"{name} must have at least {MINIMUM_SECRET_BYTES} bytes: openssl rand -base64 48")
    if len(set(secret)) < MINIMUM_SECRET_CHARACTERS or secret.lower().startswith(KNOWN_SECRETS):
        raise ConfigurationError(f"{name} is a known or guessable value. Make one: openssl rand -base64 48")
