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

from todo_api.errors import Unauthorized

ALGORITHM = "HS256"
LEEWAY = 60
"""Seconds by which our clock and the issuer's may differ."""

MAX_TOKEN_LENGTH = 16384
MAX_SUBJECT_LENGTH = 255
MAX_TIME = 253402300799
"""The end of the year 9999, in seconds: what lies beyond is no time in seconds."""

REQUIRED_CLAIMS = ["iss", "aud", "sub", "iat", "exp"]
_TYPES = (None, "JWT", "at+jwt")
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


class Identity(NamedTuple):
    """Who a token speaks for, and until when, in seconds since 1970."""

    subject: str
    expires_at: float


class TokenVerifier:
    """Verifies the tokens of one issuer, with one key and one algorithm."""

    def __init__(self, *, secret: str, issuer: str, audience: str) -> None:
        self._secret = secret.encode()
        self._issuer = issuer
        self._audience = audience

    def verify(self, token: str) -> Identity:
        """The identity in a token that holds. Raises Unauthorized for any other, and says no more than that it does not hold."""
        if len(token) > MAX_TOKEN_LENGTH or not token.isascii():
            raise _invalid()
        try:
            decoded = jwt.decode_complete(
                token,
                self._secret,
                algorithms=[ALGORITHM],
                audience=self._audience,
                issuer=self._issuer,
                leeway=LEEWAY,
                options={"require": REQUIRED_CLAIMS, "enforce_minimum_key_length": True},
            )
        except jwt.ExpiredSignatureError as error:
            raise Unauthorized("The token has expired.", token_sent=True) from error
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as error:
            # PyJWT leaks the last four for some malformed tokens.
            raise _invalid() from error
        _check_form(token)
        return _checked(decoded["header"], decoded["payload"])


class TokenMemory:
    """Remembers tokens that were verified, by their digest, until they expire: the signature of a token does not change.

    Holds at most `size` tokens, and forgets the oldest first. For one thread.
    """

    def __init__(self, verify: Callable[[str], Identity], size: int = 10_000) -> None:
        self._verify = verify
        self._size = size
        self._identities: dict[bytes, Identity] = {}

    def subject(self, token: str) -> str:
        """The subject of a token that holds. Raises Unauthorized as `verify` does."""
        digest = sha256(token.encode()).digest()
        identity = self._identities.get(digest)
        if identity is None or identity.expires_at <= time.time():
            self._identities.pop(digest, None)
            identity = self._verify(token)
            if len(self._identities) >= self._size:
                del self._identities[next(iter(self._identities))]
            self._identities[digest] = identity
        return identity.subject


class TokenIssuer:
    """Issues tokens to the service's own accounts."""

    def __init__(self, *, secret: str, issuer: str, audience: str, lifetime: int) -> None:
        self._secret = secret.encode()
        self._issuer = issuer
        self._audience = audience
        self.lifetime = lifetime
        """Seconds that a token is valid."""

    def issue(self, user_id: str) -> str:
        """A token whose subject is the user."""
        now = int(time.time())
        claims: dict[str, Any] = {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": user_id,
            "iat": now,
            "exp": now + self.lifetime,
        }
        return jwt.encode(claims, self._secret, algorithm=ALGORITHM)


def is_subject(value: object) -> bool:
    """Whether a claim can name a user: a non-empty, bounded string without control characters or blanks around it."""
    return (
        isinstance(value, str)
        and 0 < len(value) <= MAX_SUBJECT_LENGTH
        and value.strip() == value
        and not any(unicodedata.category(character) in ("Cc", "Cs") for character in value)
    )


def _checked(header: dict[str, Any], claims: dict[str, Any]) -> Identity:
    if header.get("typ") not in _TYPES or "zip" in header or "enc" in header:
        raise _invalid()
    if any(not _is_time(claims[name]) for name in ("exp", "iat", "nbf") if name in claims):
        raise _invalid()
    if not is_subject(claims["sub"]):
        raise _invalid()
    return Identity(claims["sub"], claims["exp"])


def _check_form(token: str) -> None:
    """Three parts in base64url without padding (RFC 7515, section 7.1), the first two JSON in UTF-8 with unique names (section 4)."""
    if not _COMPACT.fullmatch(token):
        raise _invalid()
    for part in token.split(".")[:2]:
        try:
            json.loads(
                urlsafe_b64decode(f"{part}==").decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse
            )
        except ValueError as error:
            raise _invalid() from error


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


def _invalid() -> Unauthorized:
    return Unauthorized("The token does not hold.", token_sent=True)
