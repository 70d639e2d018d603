"""A task as it is stored."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from todo_api.etags import version_tag


class Task(NamedTuple):
    """A task as it is stored. Its id is the text of a UUID.

    Times are the texts that PostgreSQL writes, in UTC. `todo_api.schemas.utc` makes them RFC 3339.
    """

    id: str
    user_id: str
    title: str
    description: str | None
    status: str
    completed_at: str | None
    created_at: str
    updated_at: str
    version: int
    priority_rank: int = 0
    links_json: str | None = None
    dates_json: str | None = None
    position: str = ""
    project_id: str | None = None
    labels_json: str | None = None
    parent_id: str | None = None

    @property
    def tag(self) -> str:
        """Return its entity tag."""
        return version_tag(self.version)

    def has(self, columns: Mapping[str, Any]) -> bool:
        """Return whether the task is as these columns say."""
        mine = self._asdict() | {
            "priority": self.priority_rank,
            "links": self.links_json,
            "labels": self.labels_json,
            "dates": self.dates_json,
            "completed": self.completed,
        }
        wanted = orjson.loads(orjson.dumps({name: value for name, value in columns.items() if name in mine}))
        return all(mine[name] == value for name, value in wanted.items())

    @property
    def completed(self) -> bool:
        """Return whether the status is `completed`."""
        return self.status == "completed"
