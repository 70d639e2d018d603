"""A task as it is stored."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from todo_api.etags import version_tag


class More(NamedTuple):
    """The members that came after 1.0, by the names of their columns."""

    priority: int = 0
    links: str | None = None
    dates: str | None = None
    project_id: str | None = None
    labels: str | None = None
    parent_id: str | None = None


_NOTHING_MORE = More()


def more_of(columns: Mapping[str, Any]) -> str | None:
    """Return the text of the members after 1.0, as a row has it."""
    more = More(columns["priority"], *map(columns.get, More._fields[1:]))
    return None if more == _NOTHING_MORE else orjson.dumps([*more]).decode()


class Task(NamedTuple):
    """A task as it is stored. Its id is the text of a UUID.

    Times are the texts that PostgreSQL writes, in UTC. `todo_api.schemas.utc` makes them RFC 3339.
    `created_by` has kind, id and name of the credential, None for the service itself or if it is
    not known. `more` is the JSON of More, None for a task that has nothing of it.
    """

    id: str
    title: str
    description: str | None
    status: str
    completed_at: str | None
    created_at: str
    updated_at: str
    version: int
    position: str
    created_by: str | None
    more: str | None
    user_id: str

    @classmethod
    def of(cls, row: tuple[Any, ...], user_id: str) -> "Task":
        """Return the task of the user that a row is."""
        return cls._make((*row, user_id))

    @property
    def after_1_0(self) -> More:
        """Return the members that came after 1.0."""
        return _NOTHING_MORE if self.more is None else More._make(orjson.loads(self.more))

    @property
    def priority_rank(self) -> int:
        """Return the number of its priority, from 0 to 4."""
        return self.after_1_0.priority

    @property
    def tag(self) -> str:
        """Return its entity tag."""
        return version_tag(self.version)

    def has(self, columns: Mapping[str, Any]) -> bool:
        """Return whether the task is as these columns say."""
        mine = self._asdict() | self.after_1_0._asdict() | {"completed": self.completed}
        wanted = orjson.loads(orjson.dumps({name: value for name, value in columns.items() if name in mine}))
        return all(mine[name] == value for name, value in wanted.items())

    @property
    def completed(self) -> bool:
        """Return whether the status is `completed`."""
        return self.status == "completed"
