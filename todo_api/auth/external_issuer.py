"""Verification of tokens of the configured external issuer."""

import logging
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from todo_api.auth.jwks_cache import IssuerKeys, JwksCache, RefreshPolicy
from todo_api.auth.jwks_client import JwksClient
from todo_api.auth.public_keys import Key, Keys, parse_key_file
from todo_api.auth.tokens import (
    Identity,
    ParsedToken,
    TokenPolicy,
    VerifiedTokenCache,
    invalid_token,
    is_signed,
    parse_token,
)
from todo_api.config import PUBLIC_ALGORITHMS, SECRET_ALGORITHMS, Config, ConfigurationError
from todo_api.errors import Unavailable

_log = logging.getLogger(__name__)


class UnverifiedSignature(Exception):
    """No known key verifies the signature. `key` is the one the token names, None if unknown."""

    def __init__(self, parsed: ParsedToken, key: Key | None) -> None:
        super().__init__()
        self.parsed = parsed
        self.key = key


class ExternalTokenVerifier:
    """Verifies the tokens of an external issuer. For one event loop."""

    def __init__(self, policy: TokenPolicy, algorithms: tuple[str, ...], keys: IssuerKeys) -> None:
        self._policy = policy
        self._algorithms = algorithms
        self._keys = keys
        self._generation = keys.generation
        self._verified = VerifiedTokenCache(self._verify)
        self._refused_algorithms: set[str] = set()

    def verify(self, token: str) -> Identity | Coroutine[Any, Any, Identity]:
        """Return the identity in a valid token, or a coroutine if its key must be fetched.

        Raise Unauthorized for an invalid token, Unavailable if its key cannot be fetched.
        """
        try:
            return self._verify_known(token)
        except UnverifiedSignature as error:
            return self._verify_after_fetch(token, error)

    def check_ready(self) -> None:
        """Raise Unavailable if no key is known."""
        if not self._keys.known:
            raise Unavailable("The keys of the token's issuer are not known yet. Try again later.")

    async def __aenter__(self) -> None:
        """Start to fetch the keys."""
        self._keys.start()

    async def __aexit__(self, *_: object) -> None:
        """Stop the background fetches."""
        await self._keys.close()

    def _verify_known(self, token: str) -> Identity:
        if self._generation != self._keys.generation:
            self._generation = self._keys.generation
            self._verified.clear()
        return self._verified.verify(token)

    def known_subject(self, token: str) -> str | None:
        """Return the subject of a token that was verified before, valid or expired."""
        return self._verified.known_subject(token)

    async def _verify_after_fetch(self, token: str, unverified: UnverifiedSignature) -> Identity:
        if unverified.key is None:
            await self._keys.fetch_for(unverified.parsed.key_id, unverified.parsed.algorithm)
        else:
            await self._keys.refresh()  # an issuer that was installed anew may give a new key the old id
        try:
            return self._verify_known(token)
        except UnverifiedSignature as error:
            raise invalid_token("key" if error.key is None else "signature") from error

    def _verify(self, token: str) -> Identity:
        parsed = parse_token(token, self._policy)
        if parsed.algorithm not in self._algorithms:
            self._log_refused(parsed.algorithm)
            raise invalid_token("algorithm")
        key = self._keys.get(parsed.key_id, parsed.algorithm)
        if key is None or not is_signed(token, key.value, parsed.algorithm):
            raise UnverifiedSignature(parsed, key)
        return parsed.identity._replace(session=None)  # a session of the issuer is no session of this service

    def _log_refused(self, algorithm: str) -> None:
        """Log each algorithm once, since a 401 does not show this common mistake of a set-up."""
        if algorithm in (*PUBLIC_ALGORITHMS, *SECRET_ALGORITHMS) and algorithm not in self._refused_algorithms:
            self._refused_algorithms.add(algorithm)
            accepted = ", ".join(self._algorithms)
            _log.warning("A token with alg %s was refused. This deployment accepts %s.", algorithm, accepted)


def external_token_verifier(config: Config) -> ExternalTokenVerifier:
    """Return the verifier of the configured issuer.

    Raise ConfigurationError for an unusable file.
    """
    policy = TokenPolicy(
        config.issuer,
        config.jwt_audience,
        config.jwt_authorized_parties,
        config.jwt_leeway,
        config.jwt_max_lifetime,
        config.jwt_required_claims,
    )
    return ExternalTokenVerifier(policy, config.algorithms, _keys(config))


def describe_issuer(config: Config) -> str:
    """Return a line for the log: issuer, source of its keys, and what its tokens must have."""
    source = (
        config.jwt_jwks_url
        or (config.jwt_discovery and "its discovery document")
        or (config.jwt_key_file and str(config.jwt_key_file))
        or "JWT_SECRET"
    )
    expected = {"aud": config.jwt_audience, "azp": config.jwt_authorized_parties, "alg": config.algorithms}
    requirements = "; ".join(f"{name} {' or '.join(values)}" for name, values in expected.items() if values)
    return f"Accepting tokens of {config.issuer}, keys from {source}; {requirements}"


def _keys(config: Config) -> IssuerKeys:
    if config.jwt_secret:
        secret = Key("", config.jwt_secret.encode())
        return IssuerKeys({(None, algorithm): secret for algorithm in config.algorithms})
    if config.jwt_key_file is not None:
        return IssuerKeys(_keys_of_file(config.jwt_key_file, config.algorithms))
    client = JwksClient(config.issuer, config.jwt_jwks_url, config.jwt_ca_file, config.jwt_keys_timeout)
    policy = RefreshPolicy(config.jwt_keys_ttl, config.jwt_keys_max_stale, config.jwt_keys_cooldown)
    return JwksCache(client, config.algorithms, policy)


def _keys_of_file(path: Path, algorithms: tuple[str, ...]) -> Keys:
    try:
        keys = parse_key_file(path.read_bytes(), algorithms)
    except OSError as error:
        raise ConfigurationError(f"JWT_KEY_FILE {path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise ConfigurationError(f"JWT_KEY_FILE {path} must be a public key in PEM or a JWK: {error}.") from error
    if not keys:
        raise ConfigurationError(f"JWT_KEY_FILE {path} has no public key for {', '.join(algorithms)}.")
    return keys
