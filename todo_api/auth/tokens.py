"""Access tokens: JWTs (RFC 7519). PyJWT verifies them; this adds the checks of RFC 8725."""

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
MAX_TOKEN_LENGTH = 16384
MAX_SUBJECT_LENGTH = 255
MAX_TIME = 253402300799
"""The end of the year 9999 in seconds since 1970, the maximum of a numeric date."""

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
    """Whom a token speaks for, and its validity in seconds since 1970."""

    subject: str
    issued_at: float
    expires_at: float
    session: str | None = None
    """Id of our session in which it was issued (`sid` of OpenID Connect), None if there is none."""
    scopes: frozenset[str] | None = None
    """Scopes of the token; None if it may do everything, as every JWT may."""
    key: str | None = None
    """Id of the API key; None for a JWT."""


class TokenPolicy(NamedTuple):
    """The requirements on a token of an issuer, besides its signature."""

    issuer: str
    """The exact `iss`."""

    audiences: tuple[str, ...]
    """`aud` must contain one of them. If empty, a token must have no `aud` (RFC 7519, 4.1.3)."""

    parties: tuple[str, ...] = ()
    """`azp` must be one of them, unless empty."""

    leeway: int = 60
    """Seconds by which our clock and the issuer's may differ."""

    max_lifetime: int | None = None
    """Maximum seconds from `iat` to `exp`."""

    required: tuple[str, ...] = ()
    """Required claims, each as a name or as `name=value`."""


class ParsedToken(NamedTuple):
    """The unverified claims of a token."""

    algorithm: str
    key_id: str | None
    identity: Identity


class TokenVerifier:
    """Verifies the service's own tokens, with one key and one algorithm."""

    def __init__(self, *, secret: str, issuer: str, audience: str, leeway: int) -> None:
        self._secret = secret.encode()
        self._policy = TokenPolicy(issuer, (audience,), leeway=leeway)

    def verify(self, token: str) -> Identity:
        """Return the identity in a valid token. Raise Unauthorized."""
        parsed = parse_token(token, self._policy)
        if parsed.algorithm != ALGORITHM or not is_signed(token, self._secret, ALGORITHM):
            raise invalid_token("signature")
        return parsed.identity


class VerifiedTokenCache:
    """Cache of verified tokens by digest, until they expire: a token's signature does not change.

    Holds at most `size` tokens and evicts the oldest. Not thread-safe.
    """

    def __init__(self, verify: Callable[[str], Identity], size: int = 10_000) -> None:
        self._verify = verify
        self._size = size
        self._identities: dict[bytes, Identity] = {}

    def verify(self, token: str) -> Identity:
        """Return the identity in a valid token. Raise what `verify` does."""
        digest = sha256(token.encode()).digest()
        identity = self._identities.get(digest)
        if identity is None or identity.expires_at <= time.time():
            self._identities.pop(digest, None)
            identity = self._verify(token)
            if len(self._identities) >= self._size:
                del self._identities[next(iter(self._identities))]
            self._identities[digest] = identity
        return identity

    def known_subject(self, token: str) -> str | None:
        """Return the subject of a token that was verified before, valid or expired."""
        identity = self._identities.get(sha256(token.encode()).digest())
        return identity.subject if identity else None

    def clear(self) -> None:
        """Forget all tokens, since a key was withdrawn."""
        self._identities.clear()


class TokenIssuer:
    """Issues tokens to the service's own accounts."""

    def __init__(self, *, secret: str, issuer: str, audience: str, lifetime: int) -> None:
        self._secret = secret.encode()
        self._issuer = issuer
        self._audience = audience
        self.lifetime = lifetime
        """Seconds for which a token is valid."""

    def issue(self, user_id: str, session: str | None = None) -> str:
        """Return a token for the user, issued in the session if there is one."""
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


def invalid_token(cause: str | None = None) -> Unauthorized:
    """Return the error of every invalid token but an expired one. `cause` is for operators."""
    return Unauthorized("The token is invalid.", token_sent=True, cause=cause)


def is_subject(value: object) -> bool:
    """Return whether a claim can name a user: a non-empty, trimmed, printable, bounded string."""
    return (
        isinstance(value, str)
        and 0 < len(value) <= MAX_SUBJECT_LENGTH
        and value.strip() == value
        and not any(unicodedata.category(character) in ("Cc", "Cs") for character in value)
    )


def parse_token(token: str, policy: TokenPolicy) -> ParsedToken:
    """Return what a token says if it meets the policy.

    Raise Unauthorized. Do not verify its signature.
    """
    if len(token) > MAX_TOKEN_LENGTH or not token.isascii():
        raise invalid_token()
    try:
        decoded = jwt.decode_complete(
            token,
            audience=policy.audiences or None,
            issuer=policy.issuer,
            leeway=policy.leeway,
            options=_CLAIMS_ALONE,
        )
    except jwt.ExpiredSignatureError as error:
        raise Unauthorized("The token has expired.", token_sent=True) from error
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as error:
        # PyJWT raises the last four for some malformed tokens.
        raise invalid_token() from error
    _check_form(token)
    header, claims = decoded["header"], decoded["payload"]
    _check_types(header, claims)
    _check_policy(claims, policy)
    algorithm = "EdDSA" if header["alg"] == "Ed25519" else header["alg"]
    session = claims.get("sid")
    identity = Identity(
        claims["sub"], claims["iat"], claims["exp"], session=session if isinstance(session, str) else None
    )
    return ParsedToken(algorithm, header.get("kid"), identity)


def is_signed(token: str, key: Any, algorithm: str) -> bool:
    """Return whether the key made the signature by this algorithm.

    `key` is a public key of `cryptography`, or the bytes of a secret.
    """
    algorithms = ["EdDSA", "Ed25519"] if algorithm == "EdDSA" else [algorithm]
    try:
        _JWS.decode_complete(token, key, algorithms)
    except (jwt.PyJWTError, ValueError, TypeError):
        return False
    return True


def _check_types(header: dict[str, Any], claims: dict[str, Any]) -> None:
    if ("typ" in header and not _is_access_token_type(header["typ"])) or "zip" in header or "enc" in header:
        raise invalid_token()
    if not isinstance(header.get("alg"), str):
        raise invalid_token()
    if any(not _is_time(claims[name]) for name in ("exp", "iat", "nbf") if name in claims):
        raise invalid_token()
    if not is_subject(claims["sub"]):
        raise invalid_token()


def _is_access_token_type(value: object) -> bool:
    """Return whether `typ` names a JWT or an access token.

    It is a media type, case-insensitive, and may omit `application/` (RFC 7515, section 4.1.9; RFC
    9068, section 4).
    """
    return isinstance(value, str) and value.isascii() and value.lower().removeprefix("application/") in _TYPES


def _check_policy(claims: dict[str, Any], policy: TokenPolicy) -> None:
    if not policy.audiences and "aud" in claims:  # PyJWT accepts an empty one
        raise invalid_token()
    if policy.parties and claims.get("azp") not in policy.parties:
        raise invalid_token()
    if policy.max_lifetime is not None and claims["exp"] - claims["iat"] > policy.max_lifetime:
        raise invalid_token()
    for required in policy.required:
        name, separator, value = required.partition("=")
        claim = claims.get(name)
        if claim is None or (separator and value != (claim if isinstance(claim, str) else json.dumps(claim))):
            raise invalid_token()


def _check_form(token: str) -> None:
    """Check for three base64url parts without padding (RFC 7515, section 7.1).

    The first two are JSON in UTF-8 with unique names (section 4).
    """
    if not _COMPACT.fullmatch(token):
        raise invalid_token()
    for part in token.split(".")[:2]:
        try:
            json.loads(
                urlsafe_b64decode(f"{part}==").decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse
            )
        except ValueError as error:
            raise invalid_token() from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError
    return members


def _refuse(_: str) -> None:
    """Raise ValueError: NaN and Infinity are not JSON."""
    raise ValueError


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= MAX_TIME
