"""Operations that undo of `openapi/task-api.yaml`, one function each."""

from typing import Any

from todo_api.auth import Identity
from todo_api.database import RoleSessions
from todo_api.dry_runs import dry_runnable
from todo_api.etags import matched_versions
from todo_api.http import Reply
from todo_api.idempotency import idempotent
from todo_api.services import PRIVATE, caller, require_owner, services
from todo_api.tasks import dump_task
from todo_api.undo.service import UndoService


@dry_runnable
@idempotent
def revert_task(
    user_id: str,
    identity: Identity,
    task_id: str,
    body: dict[str, Any],
    if_match: str | None = None,
    *,
    database: RoleSessions,
) -> Reply:
    """Return 200 with the task as it was."""
    task = _service(database, user_id, identity).revert_task(task_id, body["version"], matched_versions(if_match))
    return dump_task(task), 200, PRIVATE | {"ETag": task.tag}


@dry_runnable
@idempotent
def revert_change(
    user_id: str, identity: Identity, seq: int, body: dict[str, Any] | None, *, database: RoleSessions
) -> Reply:
    """Return 200 with the number of the reversion, and how many objects it changed."""
    force = (body or {}).get("force", False)
    outcome = _service(database, user_id, identity).revert_change(seq, services().trash_days, force=force)
    return {"seq": outcome.seq, "count": outcome.objects}, 200, PRIVATE


def _service(database: RoleSessions, user_id: str, identity: Identity) -> UndoService:
    return UndoService(database, require_owner(user_id, identity.subject), caller(identity))
