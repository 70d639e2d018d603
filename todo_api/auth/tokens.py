"""Access tokens: JWTs (RFC 7519) as RFC 8725 wants them checked. PyJWT verifies; what it lets through is checked after it."""

import json
import re
import time
import unicodedata
from base64 import urlsafe_b64decode
from collections.abc import Callable
from hashlib import sha256
from typing import Any, NamedTuple

import jwt
from jwt.algorithms import OKPAlgorithm
from jwt.types import Options

from todo_api.errors import Unauthorized

ALGORITHM = "HS256"
LEEWAY = 60
"""Seconds by which our clock and the issuer's may differ."""

MAX_TOKEN_LENGTH = 16384
MAX_SUBJECT_LENGTH = 255
MAX_TIME = 253402300799
"""The end of the year 9999, in seconds: what lies beyond is no time in seconds."""

REQUIRED_CLAIMS = ["iss", "sub", "iat", "exp"]
_TYPES = ("jwt", "at+jwt")
_CLAIMS_ALONE: Options = {
    "verify_signature": False,
    "verify_exp": True,
    "verify_nbf": True,
    "verify_iat": True,
    "verify_aud": True,
    "verify_iss": True,
    "verify_sub": True,
    "require": REQUIRED_CLAIMS,
}
_JWS = jwt.PyJWS(options={"verify_signature": True, "enforce_minimum_key_length": True})
_JWS.register_algorithm("Ed25519", OKPAlgorithm())  # RFC 9864's name for EdDSA with that curve
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


class Identity(NamedTuple):
    """Who a token speaks for, and from when until when, in seconds since 1970."""

    subject: str
    issued_at: float
    expires_at: float
    session: str | None = None
    """The id of the session it was issued in, where it has one (`sid`, as OpenID Connect's log-out specifications name it)."""
    scopes: frozenset[str] | None = None
    """All that it may do; None for everything, as with every JWT."""
    key: str | None = None
    """The id of the API key that it is, where it is one."""


class Terms(NamedTuple):
    """What every token of one issuer must meet, beside a signature of the issuer's."""

    issuer: str
    """The exact `iss`."""

    audiences: tuple[str, ...]
    """One of them must be in `aud`. With none, a token must have no `aud` (RFC 7519, section 4.1.3)."""

    parties: tuple[str, ...] = ()
    """One of them must be `azp`, where there are any."""

    leeway: int = LEEWAY
    max_lifetime: int | None = None
    """The most seconds from `iat` to `exp`."""

    required: tuple[str, ...] = ()
    """Claims that must be there, each as a name or as `name=value`."""


class Reading(NamedTuple):
    """What a token says of itself."""

    algorithm: str
    key_id: str | None
    identity: Identity


class TokenVerifier:
    """Verifies the service's own tokens, with one key and one algorithm."""

    def __init__(self, *, secret: str, issuer: str, audience: str, leeway: int = LEEWAY) -> None:
        self._secret = secret.encode()
        self._terms = Terms(issuer, (audience,), leeway=leeway)

    def verify(self, token: str) -> Identity:
        """The identity in a token that holds. Raises Unauthorized for any other, and says no more than that it does not hold."""
        reading = read(token, self._terms)
        if reading.algorithm != ALGORITHM or not is_signed(token, self._secret, ALGORITHM):
            raise invalid("signature")
        return reading.identity


class TokenMemory:
    """Remembers tokens that were verified, by their digest, until they expire: the signature of a token does not change.

    Holds at most `size` tokens, and forgets the oldest first. For one thread.
    """

    def __init__(self, verify: Callable[[str], Identity], size: int = 10_000) -> None:
        self._verify = verify
        self._size = size
        self._identities: dict[bytes, Identity] = {}

    def identity(self, token: str) -> Identity:
        """The identity in a token that holds. Raises what `verify` does."""
        digest = sha256(token.encode()).digest()
        identity = self._identities.get(digest)
        if identity is None or identity.expires_at <= time.time():
            self._identities.pop(digest, None)
            identity = self._verify(token)
            if len(self._identities) >= self._size:
                del self._identities[next(iter(self._identities))]
            self._identities[digest] = identity
        return identity

    def clear(self) -> None:
        """Forgets every token: a key that some were verified with holds no more."""
        self._identities.clear()


class TokenIssuer:
    """Issues tokens to the service's own accounts."""

    def __init__(self, *, secret: str, issuer: str, audience: str, lifetime: int) -> None:
        self._secret = secret.encode()
        self._issuer = issuer
        self._audience = audience
        self.lifetime = lifetime
        """Seconds that a token is valid."""

    def issue(self, user_id: str, session: str | None = None) -> str:
        """A token whose subject is the user, issued in a session, where there is one."""
        now = int(time.time())
        claims: dict[str, Any] = {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": user_id,
            "iat": now,
            "exp": now + self.lifetime,
        }
        if session is not None:
            claims["sid"] = session
        return jwt.encode(claims, self._secret, algorithm=ALGORITHM)


def invalid(cause: str | None = None) -> Unauthorized:
    """What is said of every token that does not hold, but for one that has expired. `cause` is for operators."""
    return Unauthorized("The token is invalid.", token_sent=True, cause=cause)


def is_subject(value: object) -> bool:
    """Whether a claim can name a user: a non-empty, bounded string without control characters or blanks around it."""
    return (
        isinstance(value, str)
        and 0 < len(value) <= MAX_SUBJECT_LENGTH
        and value.strip() == value
        and not any(unicodedata.category(character) in ("Cc", "Cs") for character in value)
    )


def read(token: str, terms: Terms) -> Reading:
    """What a token says, where it meets the terms. Says nothing of its signature. Raises Unauthorized for any other token."""
    if len(token) > MAX_TOKEN_LENGTH or not token.isascii():
        raise invalid()
    try:
        decoded = jwt.decode_complete(
            token,
            audience=terms.audiences or None,
            issuer=terms.issuer,
            leeway=terms.leeway,
            options=_CLAIMS_ALONE,
        )
    except jwt.ExpiredSignatureError as error:
        raise Unauthorized("The token has expired.", token_sent=True) from error
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as error:
        # PyJWT leaks the last four for some malformed tokens.
        raise invalid() from error
    _check_form(token)
    header, claims = decoded["header"], decoded["payload"]
    _check_types(header, claims)
    _check_terms(claims, terms)
    algorithm = "EdDSA" if header["alg"] == "Ed25519" else header["alg"]
    session = claims.get("sid")
    identity = Identity(
        claims["sub"], claims["iat"], claims["exp"], session=session if isinstance(session, str) else None
    )
    return Reading(algorithm, header.get("kid"), identity)


def is_signed(token: str, key: Any, algorithm: str) -> bool:
    """Whether the signature is this key's, by this algorithm. `key` is a public key of `cryptography`, or the bytes of a secret."""
    algorithms = ["EdDSA", "Ed25519"] if algorithm == "EdDSA" else [algorithm]
    try:
        _JWS.decode_complete(token, key, algorithms)
    except (jwt.PyJWTError, ValueError, TypeError):
        return False
    return True


def _check_types(header: dict[str, Any], claims: dict[str, Any]) -> None:
    if ("typ" in header and not _is_access_token_type(header["typ"])) or "zip" in header or "enc" in header:
        raise invalid()
    if not isinstance(header.get("alg"), str):
        raise invalid()
    if any(not _is_time(claims[name]) for name in ("exp", "iat", "nbf") if name in claims):
        raise invalid()
    if not is_subject(claims["sub"]):
        raise invalid()


def _is_access_token_type(value: object) -> bool:
    """Whether `typ` names a JWT or an access token.

    It is a media type without regard to case, and may leave out `application/` (RFC 7515, section 4.1.9; RFC 9068, section 4).
    """
    return isinstance(value, str) and value.isascii() and value.lower().removeprefix("application/") in _TYPES


def _check_terms(claims: dict[str, Any], terms: Terms) -> None:
    if not terms.audiences and "aud" in claims:  # PyJWT lets an empty one pass
        raise invalid()
    if terms.parties and claims.get("azp") not in terms.parties:
        raise invalid()
    if terms.max_lifetime is not None and claims["exp"] - claims["iat"] > terms.max_lifetime:
        raise invalid()
    for required in terms.required:
        name, separator, value = required.partition("=")
        claim = claims.get(name)
        if claim is None or (separator and value != (claim if isinstance(claim, str) else json.dumps(claim))):
            raise invalid()


def _check_form(token: str) -> None:
    """Three parts in base64url without padding (RFC 7515, section 7.1), the first two JSON in UTF-8 with unique names (section 4)."""
    if not _COMPACT.fullmatch(token):
        raise invalid()
    for part in token.split(".")[:2]:
        try:
            json.loads(
                urlsafe_b64decode(f"{part}==").decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse
            )
        except ValueError as error:
            raise invalid() from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError
    return members


def _refuse(_: str) -> None:
    """NaN and Infinity are no JSON."""
    raise ValueError


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= MAX_TIME
