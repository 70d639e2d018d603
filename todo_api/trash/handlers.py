"""Operations on the trash of `openapi/task-api.yaml`, one function each."""

from typing import Any

from todo_api.auth import Identity
from todo_api.database import RoleSessions
from todo_api.dry_runs import dry_runnable
from todo_api.etags import is_known, space_tag
from todo_api.http import Reply
from todo_api.idempotency import idempotent
from todo_api.projects import Project, dump_project
from todo_api.schemas import dump_actor
from todo_api.services import PRIVATE, caller, require_owner, services
from todo_api.tasks import Task, dump_task
from todo_api.trash.service import TrashedItem, TrashService


def list_trash(
    user_id: str, identity: Identity, *, limit: int, cursor: str | None = None, if_none_match: str | None = None
) -> Reply:
    """Return 200 with a page of what was deleted by itself, 304 if the client knows it."""
    trash = _service(services().database, user_id, identity)
    page = trash.list(limit, cursor, services().signer)
    # What is in the trash for long enough goes by itself, the oldest first.
    tag = space_tag(identity.subject, page.epoch, page.seq, "" if page.oldest is None else str(page.oldest))
    headers = PRIVATE | {"ETag": tag}
    if is_known(if_none_match, tag):
        return None, 304, headers
    return {"items": [_dumped(trash, item) for item in page.items], "next_cursor": page.next_cursor}, 200, headers


@dry_runnable
def empty_trash(user_id: str, identity: Identity) -> Reply:
    """Return 204."""
    _service(services().database, user_id, identity).empty()
    return None, 204, PRIVATE


@dry_runnable
@idempotent
def restore_item(user_id: str, identity: Identity, item_id: str, *, database: RoleSessions) -> Reply:
    """Return 200 with the task or project that is there again."""
    found = _service(database, user_id, identity).restore(item_id)
    task = dump_task(found) if isinstance(found, Task) else None
    project = dump_project(found) if isinstance(found, Project) else None
    return {"task": task, "project": project}, 200, PRIVATE


@dry_runnable
def purge_item(user_id: str, identity: Identity, item_id: str) -> Reply:
    """Return 204."""
    _service(services().database, user_id, identity).remove(item_id)
    return None, 204, PRIVATE


def _dumped(trash: TrashService, item: TrashedItem) -> dict[str, Any]:
    return {**item._asdict(), "actor": dump_actor(item.actor), "purge_at": trash.purge_at(item.trashed_at)}


def _service(database: RoleSessions, user_id: str, identity: Identity) -> TrashService:
    owner = require_owner(user_id, identity.subject)
    return TrashService(database, owner, caller(identity), services().trash_days)
