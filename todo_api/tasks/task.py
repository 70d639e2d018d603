"""A task as it is stored."""

from typing import NamedTuple

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

    @property
    def tag(self) -> str:
        """Return its entity tag."""
        return version_tag(self.version)

    @property
    def completed(self) -> bool:
        """Return whether the status is `completed`."""
        return self.status == "completed"
