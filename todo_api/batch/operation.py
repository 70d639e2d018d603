"""One operation of a batch."""

from typing import Any, NamedTuple


class Operation(NamedTuple):
    """An operation: what it does, to which object, and how.

    `id` is the canonical text of a UUID; None for labels, and if the server makes one. `version` is
    that of the object before the batch, None for any. `pointer` is the place of `members`.
    """

    kind: str
    id: str | None
    version: int | None
    members: dict[str, Any]
    pointer: str

    @property
    def noun(self) -> str:
        """Return what it is about: `task`, `project` or `label`."""
        return self.kind.partition("_")[2]
