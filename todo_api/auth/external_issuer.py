"""The one external issuer of a deployment, as the configuration names it."""

import logging
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from todo_api.auth.jwks_cache import FixedKeys, KeySet, Pace
from todo_api.auth.jwks_client import KeyServer
from todo_api.auth.public_keys import Key, Keys, read_file
from todo_api.auth.tokens import Identity, Reading, Terms, TokenMemory, invalid, is_signed, read
from todo_api.config import PUBLIC_ALGORITHMS, SECRET_ALGORITHMS, Config, ConfigurationError
from todo_api.errors import Unavailable

_log = logging.getLogger(__name__)


class KeyMissing(Exception):
    """A token whose signature no key at hand confirms. `key` is the one that should, None where there is none."""

    def __init__(self, reading: Reading, key: Key | None) -> None:
        super().__init__()
        self.reading = reading
        self.key = key


class ExternalTokens:
    """Verifies the tokens of an external issuer. For one event loop."""

    def __init__(self, terms: Terms, algorithms: tuple[str, ...], keys: KeySet | FixedKeys) -> None:
        self._terms = terms
        self._algorithms = algorithms
        self._keys = keys
        self._generation = keys.generation
        self._memory = TokenMemory(self._verify)
        self._refused_algorithms: set[str] = set()

    def identity(self, token: str) -> Identity | Coroutine[Any, Any, Identity]:
        """The identity in a token that holds: at once where its key is known, else to be awaited.

        Raises Unauthorized for a token that does not hold, Unavailable where its key cannot be fetched.
        """
        try:
            return self._known_identity(token)
        except KeyMissing as missing:
            return self._fetched_identity(token, missing)

    def check(self) -> None:
        """Raises Unavailable while no key is known."""
        if not self._keys.known:
            raise Unavailable("The keys of the token's issuer are not known yet. Try again later.")

    async def __aenter__(self) -> None:
        """Begins to fetch the keys."""
        self._keys.start()

    async def __aexit__(self, *_: object) -> None:
        """Ends what goes on in the background."""
        await self._keys.close()

    def _known_identity(self, token: str) -> Identity:
        if self._generation != self._keys.generation:
            self._generation = self._keys.generation
            self._memory.clear()
        return self._memory.identity(token)

    async def _fetched_identity(self, token: str, missing: KeyMissing) -> Identity:
        if missing.key is None:
            await self._keys.fetch_for(missing.reading.key_id, missing.reading.algorithm)
        else:
            await self._keys.renew()  # an issuer that was set up anew may give an old id to a new key
        try:
            return self._known_identity(token)
        except KeyMissing as error:
            raise invalid("key" if error.key is None else "signature") from error

    def _verify(self, token: str) -> Identity:
        reading = read(token, self._terms)
        if reading.algorithm not in self._algorithms:
            self._tell_of(reading.algorithm)
            raise invalid("algorithm")
        key = self._keys.get(reading.key_id, reading.algorithm)
        if key is None or not is_signed(token, key.value, reading.algorithm):
            raise KeyMissing(reading, key)
        return reading.identity

    def _tell_of(self, algorithm: str) -> None:
        """Once for each: the commonest mistake in setting up an issuer, and invisible in a 401."""
        if algorithm in (*PUBLIC_ALGORITHMS, *SECRET_ALGORITHMS) and algorithm not in self._refused_algorithms:
            self._refused_algorithms.add(algorithm)
            taken = ", ".join(self._algorithms)
            _log.warning("A token with alg %s was refused: this deployment takes %s.", algorithm, taken)


def external_tokens(config: Config) -> ExternalTokens:
    """The verifier of the configured issuer's tokens. Raises ConfigurationError for a file that cannot be used."""
    terms = Terms(
        config.issuer,
        config.jwt_audience,
        config.jwt_authorized_parties,
        config.jwt_leeway,
        config.jwt_max_lifetime,
        config.jwt_required_claims,
    )
    return ExternalTokens(terms, config.algorithms, _keys(config))


def description(config: Config) -> str:
    """One line on the issuer, for the log: who it is, where its keys come from and what its tokens must have."""
    source = (
        config.jwt_jwks_url
        or (config.jwt_discovery and "its discovery document")
        or (config.jwt_key_file and str(config.jwt_key_file))
        or "JWT_SECRET"
    )
    expected = {"aud": config.jwt_audience, "azp": config.jwt_authorized_parties, "alg": config.algorithms}
    terms = "; ".join(f"{name} {' or '.join(values)}" for name, values in expected.items() if values)
    return f"Taking the tokens of {config.issuer}, keys from {source}; {terms}"


def _keys(config: Config) -> KeySet | FixedKeys:
    if config.jwt_secret:
        secret = Key("", config.jwt_secret.encode())
        return FixedKeys({(None, algorithm): secret for algorithm in config.algorithms})
    if config.jwt_key_file is not None:
        return FixedKeys(_keys_of_file(config.jwt_key_file, config.algorithms))
    server = KeyServer(config.issuer, config.jwt_jwks_url, config.jwt_ca_file, config.jwt_keys_timeout)
    pace = Pace(config.jwt_keys_ttl, config.jwt_keys_max_stale, config.jwt_keys_cooldown)
    return KeySet(server, config.algorithms, pace)


def _keys_of_file(path: Path, algorithms: tuple[str, ...]) -> Keys:
    try:
        keys = read_file(path.read_bytes(), algorithms)
    except OSError as error:
        raise ConfigurationError(f"JWT_KEY_FILE {path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise ConfigurationError(f"JWT_KEY_FILE {path} must be a public key in PEM or a JWK: {error}.") from error
    if not keys:
        raise ConfigurationError(f"JWT_KEY_FILE {path} has no public key for {', '.join(algorithms)}.")
    return keys
