"""Passwords: argon2id, through argon2-cffi."""

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
"""How many passwords a worker hashes at once: each takes a processor for 20 ms, and the requests are to have the others."""

COST = (2, 19 * 1024)
"""Passes, and KiB of memory: the least that OWASP gives for argon2id, on one lane."""

COMMONEST = frozenset((Path(__file__).with_name("common-passwords.txt")).read_text(encoding="utf-8").splitlines())


class Passwords:
    """Hash passwords and check them."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(AT_ONCE, "password")
        passes, memory = COST
        self._hasher = PasswordHasher(time_cost=passes, memory_cost=memory, parallelism=1)
        self.decoy = _of_no_password(self._hasher)
        """A hash to check against where there is no account, so that the check takes the same time."""

    def hash(self, password: str) -> str:
        """The hash to store, with its salt and parameters (RFC 9106)."""
        return in_thread(self._threads, self._hasher.hash, password)

    def verify(self, password_hash: str, password: str) -> bool:
        """Whether the password is the one that was hashed."""
        try:
            return in_thread(self._threads, self._hasher.verify, password_hash, password)
        except VerifyMismatchError:
            return False

    @staticmethod
    def is_common(password: str) -> bool:
        """Whether the password is one of the commonest of at least 12 characters, in any case."""
        return password.lower() in COMMONEST


def normalized(password: str) -> str:
    """Return the password in NFC, so that the same characters typed on another keyboard are the same (RFC 8265, section 4.2)."""
    return unicodedata.normalize("NFC", password)


def usable(passwords: Passwords, password: str, pointer: str) -> str:
    """Return the password as it is hashed. Raise ValidationFailed for one of the commonest."""
    password = normalized(password)
    if passwords.is_common(password):
        detail = "This is one of the commonest passwords. Choose another."
        raise ValidationFailed([Violation("body", pointer, "too_common", detail)])
    return password


def _of_no_password(hasher: PasswordHasher) -> str:
    """A hash by its form (RFC 9106, section 3.1; the PHC string format) that no password has: made of chance, at no cost."""
    salt, tag = (b64encode(token_bytes(size)).decode().rstrip("=") for size in (hasher.salt_len, hasher.hash_len))
    costs = f"m={hasher.memory_cost},t={hasher.time_cost},p={hasher.parallelism}"
    return f"$argon2id$v={ARGON2_VERSION}${costs}${salt}${tag}"
