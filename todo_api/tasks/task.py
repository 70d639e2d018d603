"""A task as it is stored."""

from datetime import date, time
from typing import NamedTuple

from todo_api.etags import version_tag
from todo_api.tasks.dates import represented


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
    due_date: date | None = None
    due_time: time | None = None
    due_zone: str | None = None
    start_date: date | None = None
    start_time: time | None = None
    start_zone: str | None = None
    position: str = ""

    @property
    def due(self) -> dict[str, str | None] | None:
        """Return when it is due."""
        return None if self.due_date is None else represented(self.due_date, self.due_time, self.due_zone)

    @property
    def start(self) -> dict[str, str | None] | None:
        """Return when it can be started."""
        return None if self.start_date is None else represented(self.start_date, self.start_time, self.start_zone)

    @property
    def tag(self) -> str:
        """Return its entity tag."""
        return version_tag(self.version)

    @property
    def completed(self) -> bool:
        """Return whether the status is `completed`."""
        return self.status == "completed"
