"""The whole trash for an export: each task and project as it was."""

from datetime import datetime
from typing import Any, NamedTuple

from todo_api.projects import Project, dump_project
from todo_api.schemas import dump_actor
from todo_api.tasks import Task, dump_task


class TrashedObject(NamedTuple):
    """A task or project of the trash, as it was. `root_id` is what was deleted by itself.

    `actor` has kind, id and name of the credential that deleted that, None if it is not known.
    """

    task: Task | None
    project: Project | None
    root_id: str
    version: int
    trashed_at: datetime
    purge_at: datetime
    actor: str | None


def dump_trashed(found: TrashedObject) -> dict[str, Any]:
    """Return the representation of what is in the trash."""
    return found._asdict() | {
        "task": None if found.task is None else dump_task(found.task),
        "project": None if found.project is None else dump_project(found.project),
        "actor": dump_actor(found.actor),
    }
