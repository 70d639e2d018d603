"""Cursors of lists: opaque, tamper-evident, and bound to user, filters and sort."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from todo_api.errors import InvalidCursor
from todo_api.lists.clock import Clock
from todo_api.local_time import is_zone


class DueKey(NamedTuple):
    """The sort key of a task in a list by deadlines. `rank` is that of its priority."""

    due_at: datetime | None
    rank: int


Key = datetime | str | int | DueKey

_TAG_BYTES = 16
_ID_BYTES = 16
_TIME_BYTES = 8
_EPOCH_BYTES = 8
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Position(NamedTuple):
    """The place in a list at which a page begins."""

    epoch: int
    key: Key
    task_id: UUID
    clock: Clock | None


class CursorSigner:
    """Signs and reads cursors with a secret."""

    def __init__(self, secret: bytes) -> None:
        self._key = hmac.digest(secret, b"task-api list cursor", "sha256")

    def sign(self, epoch: int, key: Key, task_id: UUID, scope: str, clock: Clock | None = None) -> str:
        """Return the cursor that continues after the task with this sort key and id.

        `scope` is user, filters and sort; `epoch` is that of the user's row, which the reader
        compares. The next pages keep the clock of the first one.
        """
        head = epoch.to_bytes(_EPOCH_BYTES, "big", signed=True) + task_id.bytes
        content = head + (b"" if clock is None else _write_clock(clock)) + _WRITE[type(key)](key)
        return self.seal(content, scope)

    def read(self, cursor: str, scope: str, kind: type[Key], *, has_clock: bool = False) -> Position:
        """Return what the cursor has. Raise InvalidCursor."""
        content = self.open(cursor, scope)
        try:
            epoch = int.from_bytes(content[:_EPOCH_BYTES], "big", signed=True)
            place = content[_EPOCH_BYTES:]
            key, clock = place[_ID_BYTES:], None
            if has_clock:
                clock, key = _read_clock(key)
            return Position(epoch, _READ[kind](key), UUID(bytes=place[:_ID_BYTES]), clock)
        except (ValueError, OverflowError) as error:
            # The signature is valid, so another release wrote it.
            raise InvalidCursor from error

    def seal(self, content: bytes, scope: str) -> str:
        """Return a cursor with any content, bound to its scope."""
        return _encode(self._tag(content, scope) + content)

    def open(self, cursor: str, scope: str) -> bytes:
        """Return the content. Raise InvalidCursor."""
        try:
            signed = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError) as error:
            raise InvalidCursor from error
        tag, content = signed[:_TAG_BYTES], signed[_TAG_BYTES:]
        if not hmac.compare_digest(tag, self._tag(content, scope)) or _encode(signed) != cursor:
            raise InvalidCursor
        return content

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


def _write_due(key: DueKey) -> bytes:
    return bytes([key.rank]) + (b"" if key.due_at is None else _write_time(key.due_at))


def _read_due(content: bytes) -> DueKey:
    return DueKey(_read_time(content[1:]) if len(content) > 1 else None, _read_rank(content[:1]))


def _write_clock(clock: Clock) -> bytes:
    return bytes([len(clock.zone)]) + clock.zone.encode() + _write_time(clock.as_of)


def _read_clock(content: bytes) -> tuple[Clock, bytes]:
    """Return the clock, and what follows it."""
    end = 1 + (content[0] if content else 0)
    zone = content[1:end].decode()
    if not is_zone(zone):
        raise ValueError
    return Clock(_read_time(content[end : end + _TIME_BYTES]), zone), content[end + _TIME_BYTES :]


_WRITE: dict[type, Callable[[Any], bytes]] = {
    datetime: _write_time,
    str: str.encode,
    int: lambda rank: bytes([rank]),
    DueKey: _write_due,
}
_READ: dict[type, Callable[[bytes], Key]] = {datetime: _read_time, str: _read_text, int: _read_rank, DueKey: _read_due}
