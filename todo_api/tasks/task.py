"""A task as it is stored."""

from datetime import date, datetime, time
from typing import NamedTuple

import orjson

from todo_api.etags import version_tag
from todo_api.models import PRIORITIES
from todo_api.tasks.dates import represented

_NO_LINKS = orjson.Fragment("[]")


class Task(NamedTuple):
    """A task as it is stored. Its id is the text of a UUID; times are in UTC."""

    id: str
    user_id: str
    title: str
    description: str | None
    status: str
    completed_at: datetime | None
    created_at: datetime
    updated_at: datetime
    version: int
    priority_rank: int = 0
    links_json: str | None = None
    due_date: date | None = None
    due_time: time | None = None
    due_zone: str | None = None
    start_date: date | None = None
    start_time: time | None = None
    start_zone: str | None = None

    @property
    def due(self) -> dict[str, str | None] | None:
        """Return when it is due."""
        return None if self.due_date is None else represented(self.due_date, self.due_time, self.due_zone)

    @property
    def start(self) -> dict[str, str | None] | None:
        """Return when it can be started."""
        return None if self.start_date is None else represented(self.start_date, self.start_time, self.start_zone)

    @property
    def priority(self) -> str:
        """Return the word for its priority."""
        return PRIORITIES[self.priority_rank]

    @property
    def links(self) -> orjson.Fragment:
        """Return its links, which are stored as JSON."""
        return _NO_LINKS if self.links_json is None else orjson.Fragment(self.links_json)

    @property
    def tag(self) -> str:
        """Return its entity tag."""
        return version_tag(self.version)

    @property
    def completed(self) -> bool:
        """Return whether the status is `completed`."""
        return self.status == "completed"
