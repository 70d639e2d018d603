"""Tokens of the feed: opaque, tamper-evident, and bound to the user and the epoch of their row."""

import struct
from typing import NamedTuple
from uuid import UUID

from todo_api.errors import InvalidCursor
from todo_api.lists import CursorSigner

_FORM = struct.Struct(">qqqb16s")
_NO_WALK = -1

NIL = str(UUID(int=0))
HIGHEST = str(UUID(int=2**128 - 1))


class Position(NamedTuple):
    """A place in the feed: after the object of this version, rank and id.

    The rank says which of a version's objects come first; `AFTER_ALL` is after each of them.
    """

    version: int
    rank: int
    id: str


RANKS = {"project": 0, "task": 1, "deleted project": 2, "deleted task": 3}
"""Order of the objects of one version."""

AFTER_ALL = len(RANKS)

BEGINNING = Position(0, AFTER_ALL, NIL)
"""The place before everything: numbers begin with 1."""


class Token(NamedTuple):
    """A client has the feed up to a position, in an epoch of the user's row.

    `start` is the user's number when a walk through everything began, None after its end: what was
    deleted before is unknown to the client.
    """

    epoch: int
    start: int | None
    position: Position

    def is_outlived(self, horizon: int) -> bool:
        """Return whether a tombstone that the client needs may be purged."""
        if self.start is not None:
            return self.start < horizon
        return (self.position.version, self.position.rank) < (horizon, AFTER_ALL)


def write(token: Token, user_id: str, signer: CursorSigner) -> str:
    """Return the token as text."""
    version, rank, id_ = token.position
    start = _NO_WALK if token.start is None else token.start
    content = _FORM.pack(token.epoch, start, version, rank, UUID(id_).bytes)
    return signer.seal(content, _scope(user_id))


def read(text: str, user_id: str, signer: CursorSigner) -> Token:
    """Return the token. Raise InvalidCursor."""
    try:
        epoch, start, version, rank, id_ = _FORM.unpack(signer.open(text, _scope(user_id)))
    except (InvalidCursor, struct.error) as error:
        raise InvalidCursor("The token is not valid here. Send the next of a page of yours, or none.") from error
    return Token(epoch, None if start == _NO_WALK else start, Position(version, rank, str(UUID(bytes=id_))))


def _scope(user_id: str) -> str:
    return f"changes of {user_id!r}"
