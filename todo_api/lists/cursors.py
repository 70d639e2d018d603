"""Cursors of lists: opaque, tamper-evident, and bound to user, filters and sort."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from todo_api.errors import InvalidCursor

Key = datetime | str | int

_TAG_BYTES = 16
_ID_BYTES = 16
_TIME_BYTES = 8
_EPOCH_BYTES = 8
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class CursorSigner:
    """Signs and reads cursors with a secret."""

    def __init__(self, secret: bytes) -> None:
        self._key = hmac.digest(secret, b"task-api list cursor", "sha256")

    def sign(self, epoch: int, key: Key, task_id: UUID, scope: str) -> str:
        """Return the cursor that continues after the task with this sort key and id.

        `scope` is user, filters and sort; `epoch` is that of the user's row, which the reader
        compares.
        """
        content = epoch.to_bytes(_EPOCH_BYTES, "big", signed=True) + task_id.bytes + _WRITE[type(key)](key)
        return _encode(self._tag(content, scope) + content)

    def read(self, cursor: str, scope: str, kind: type[Key]) -> tuple[int, Key, UUID]:
        """Return epoch, sort key and id of a cursor. Raise InvalidCursor."""
        try:
            signed = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError) as error:
            raise InvalidCursor from error
        tag, content = signed[:_TAG_BYTES], signed[_TAG_BYTES:]
        if not hmac.compare_digest(tag, self._tag(content, scope)) or _encode(signed) != cursor:
            raise InvalidCursor
        try:
            epoch = int.from_bytes(content[:_EPOCH_BYTES], "big", signed=True)
            place = content[_EPOCH_BYTES:]
            key = place[_ID_BYTES:]
            return epoch, _READ[kind](key), UUID(bytes=place[:_ID_BYTES])
        except (ValueError, OverflowError) as error:
            # The signature is valid, so another release wrote it.
            raise InvalidCursor from error

    def _tag(self, content: bytes, scope: str) -> bytes:
        return hmac.new(self._key, hashlib.sha256(scope.encode()).digest() + content, "sha256").digest()[:_TAG_BYTES]


def _encode(signed: bytes) -> str:
    return base64.urlsafe_b64encode(signed).rstrip(b"=").decode("ascii")


def _write_time(moment: datetime) -> bytes:
    return ((moment - _EPOCH) // _MICROSECOND).to_bytes(_TIME_BYTES, "big", signed=True)


def _read_time(content: bytes) -> datetime:
    if len(content) != _TIME_BYTES:
        raise ValueError
    return _EPOCH + int.from_bytes(content, "big", signed=True) * _MICROSECOND


def _read_text(content: bytes) -> str:
    if b"\0" in content:
        raise ValueError
    return content.decode()


def _read_rank(content: bytes) -> int:
    if len(content) != 1:
        raise ValueError
    return content[0]


_WRITE: dict[type, Callable[[Any], bytes]] = {datetime: _write_time, str: str.encode, int: lambda rank: bytes([rank])}
_READ: dict[type, Callable[[bytes], Key]] = {datetime: _read_time, str: _read_text, int: _read_rank}
