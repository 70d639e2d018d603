"""API keys: how one is made, told from a JWT, and stored.

A key is `tdk_`, 256 random bits and their checksum, in base64url (RFC 4648, section 5). So a leaked one is recognizable, a mistyped one is
refused without the database, and a digest without salt or stretching is enough to store: there is nothing to guess.
"""

import re
import secrets
from base64 import urlsafe_b64encode
from hashlib import sha256
from zlib import crc32

from todo_api.errors import Unauthorized

PREFIX = "tdk_"
HINT_LENGTH = 10
"""How many of its first characters a key is recognized by: 36 of its 256 bits."""

_SECRET_LENGTH = 43
_CHECKSUM_LENGTH = 6
_FORM = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{{_SECRET_LENGTH + _CHECKSUM_LENGTH}}}")


def make() -> str:
    """A new key."""
    secret = f"{PREFIX}{secrets.token_urlsafe(32)}"
    return secret + _checksum(secret)


def hint(key: str) -> str:
    """What the key begins with."""
    return key[:HINT_LENGTH]


def digest(key: str) -> str:
    """What is stored of a key: its SHA-256 in hexadecimal. Raises Unauthorized for what was never a key."""
    if not _FORM.fullmatch(key) or _checksum(key[:-_CHECKSUM_LENGTH]) != key[-_CHECKSUM_LENGTH:]:
        raise Unauthorized(
            "The API key is invalid. Characters are missing or wrong.", token_sent=True, cause="key_malformed"
        )
    return sha256(key.encode()).hexdigest()


def _checksum(secret: str) -> str:
    return urlsafe_b64encode(crc32(secret.encode()).to_bytes(4, "big")).decode().rstrip("=")
