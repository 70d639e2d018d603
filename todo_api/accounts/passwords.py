"""Passwords, hashed with argon2id by argon2-cffi."""

import unicodedata
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from secrets import token_bytes

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from argon2.low_level import ARGON2_VERSION

from todo_api.database import in_thread
from todo_api.errors import ValidationFailed, Violation

AT_ONCE = 1
"""Maximum of concurrent hashes of a worker. Each takes 20 ms of a core that requests need."""

COST = (2, 19 * 1024)
"""Passes and KiB of memory: the minimum of OWASP for argon2id with one lane."""

COMMONEST = frozenset((Path(__file__).with_name("common-passwords.txt")).read_text(encoding="utf-8").splitlines())
"""Common passwords of at least 12 characters, in lower case."""


class Passwords:
    """Hashes and verifies passwords."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(AT_ONCE, "password")
        passes, memory = COST
        self._hasher = PasswordHasher(time_cost=passes, memory_cost=memory, parallelism=1)
        self.decoy = _of_no_password(self._hasher)
        """A hash that no password has, checked if there is no account, to take the same time."""

    def hash(self, password: str) -> str:
        """Return the hash to store, with its salt and parameters (RFC 9106)."""
        return in_thread(self._threads, self._hasher.hash, password)

    def verify(self, password_hash: str, password: str) -> bool:
        """Return whether the password matches the hash."""
        try:
            return in_thread(self._threads, self._hasher.verify, password_hash, password)
        except VerifyMismatchError:
            return False

    @staticmethod
    def is_common(password: str) -> bool:
        """Return whether the password is a common one, in any case."""
        return password.lower() in COMMONEST


def normalized(password: str) -> str:
    """Return the password in NFC, which is the same from every keyboard (RFC 8265, section 4.2)."""
    return unicodedata.normalize("NFC", password)


def usable(passwords: Passwords, password: str, pointer: str) -> str:
    """Return the password to hash. Raise ValidationFailed if it is a common one."""
    password = normalized(password)
    if passwords.is_common(password):
        detail = "This is one of the commonest passwords. Choose another."
        raise ValidationFailed([Violation("body", pointer, "too_common", detail)])
    return password


def _of_no_password(hasher: PasswordHasher) -> str:
    """Return a random hash (RFC 9106, section 3.1; PHC string format) that no password has."""
    salt, tag = (b64encode(token_bytes(size)).decode().rstrip("=") for size in (hasher.salt_len, hasher.hash_len))
    costs = f"m={hasher.memory_cost},t={hasher.time_cost},p={hasher.parallelism}"
    return f"$argon2id$v={ARGON2_VERSION}${costs}${salt}${tag}"
