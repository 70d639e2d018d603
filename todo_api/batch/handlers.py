"""The operation on batches of `openapi/task-api.yaml`."""

from typing import Any

from todo_api.auth import Identity
from todo_api.batch.schemas import dump_outcome, load_batch
from todo_api.batch.service import BatchService
from todo_api.database import RoleSessions
from todo_api.dry_runs import dry_runnable
from todo_api.http import Reply
from todo_api.idempotency import idempotent
from todo_api.services import PRIVATE, caller, require_owner


@dry_runnable
@idempotent
def run_batch(user_id: str, identity: Identity, body: dict[str, Any], *, database: RoleSessions) -> Reply:
    """Return 200 with what each operation did."""
    service = BatchService(database, require_owner(user_id, identity.subject), caller(identity))
    return dump_outcome(service.run(load_batch(body))), 200, PRIVATE
