"""Entries of the history as they are stored and shown, and cursors behind one."""

from typing import Any, NamedTuple
from uuid import UUID

import orjson

from todo_api.errors import InvalidCursor
from todo_api.lists import CursorSigner
from todo_api.schemas import dump_actor, utc

_NIL = str(UUID(int=0))


class Place(NamedTuple):
    """The place before an entry: its time as PostgreSQL writes it, number, kind and id."""

    at: str
    seq: int
    kind: str
    id: str


def before(time: str) -> Place:
    """Return the place before every entry at this time."""
    return Place(time, -1, "", _NIL)


class Entry(NamedTuple):
    """A change of a task or project. Its time and its `changes` are texts, the latter of JSON.

    The actor is kind and id of the credential, None if there was none or it is not known.
    """

    seq: int
    kind: str
    id: str
    action: str
    at: str
    actor: str | None
    actor_name: str | None
    changes: str
    cut: bool

    @property
    def place(self) -> Place:
        """Return the place before it, where the page after it begins."""
        return Place(self.at, self.seq, self.kind, self.id)


def dump_entry(entry: Entry) -> dict[str, Any]:
    """Return the representation of an entry."""
    return {
        "seq": entry.seq,
        "kind": entry.kind,
        "id": entry.id,
        "action": entry.action,
        "at": utc(entry.at),
        "actor": {**dump_actor(entry.actor), "name": entry.actor_name},
        "changes": orjson.Fragment(entry.changes),
        "cut": entry.cut,
    }


def write(place: Place, scope: str, signer: CursorSigner) -> str:
    """Return the cursor of a place."""
    return signer.seal(orjson.dumps([*place]), scope)


def read(cursor: str, scope: str, signer: CursorSigner) -> Place:
    """Return the place of a cursor. Raise InvalidCursor."""
    try:
        return Place(*orjson.loads(signer.open(cursor, scope)))
    except (ValueError, TypeError) as error:  # another release wrote it
        raise InvalidCursor from error
