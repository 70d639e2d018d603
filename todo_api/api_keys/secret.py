"""Secrets of API keys: how they are made, recognized and stored.

A key is `tdk_`, 256 random bits and their checksum, in base64url (RFC 4648, section 5). So a leaked
key is recognizable, a mistyped one is refused without the database, and an unsalted digest is
enough to store.
"""

import re
import secrets
from base64 import urlsafe_b64encode
from hashlib import sha256
from zlib import crc32

from todo_api.errors import Unauthorized

PREFIX = "tdk_"
HINT_LENGTH = 10
"""Characters of a key that identify it to its user: 36 of its 256 bits."""

_SECRET_LENGTH = 43
_CHECKSUM_LENGTH = 6
_FORM = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{{_SECRET_LENGTH + _CHECKSUM_LENGTH}}}")


def make() -> str:
    """Return a new key."""
    secret = f"{PREFIX}{secrets.token_urlsafe(32)}"
    return secret + _checksum(secret)


def hint(key: str) -> str:
    """Return the first characters of the key."""
    return key[:HINT_LENGTH]


def digest(key: str) -> str:
    """Return the stored digest of a key: SHA-256 in hexadecimal. Raise Unauthorized if invalid."""
    if not _FORM.fullmatch(key) or _checksum(key[:-_CHECKSUM_LENGTH]) != key[-_CHECKSUM_LENGTH:]:
        raise Unauthorized(
            "The API key is invalid. Characters are missing or wrong.", token_sent=True, cause="key_malformed"
        )
    return sha256(key.encode()).hexdigest()


def _checksum(secret: str) -> str:
    return urlsafe_b64encode(crc32(secret.encode()).to_bytes(4, "big")).decode().rstrip("=")
