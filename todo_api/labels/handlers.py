"""Operations on labels of `openapi/task-api.yaml`, one function each."""

from typing import Any

from todo_api.auth import Identity
from todo_api.dry_runs import dry_runnable
from todo_api.etags import is_known, known_in_space, space_tag
from todo_api.http import Reply
from todo_api.labels.service import LabelChange, LabelService
from todo_api.services import PRIVATE, caller, require_owner, services


def list_labels(user_id: str, identity: Identity, if_none_match: str | None = None) -> Reply:
    """Return 200 with every label, 304 if the client knows them."""
    known = known_in_space(if_none_match, identity.subject)
    found = _service(user_id, identity).list(known)
    tag = space_tag(identity.subject, found.epoch, found.seq)
    headers = PRIVATE | {"ETag": tag}
    if is_known(if_none_match, tag):
        return None, 304, headers
    return {"items": [label._asdict() for label in found.labels]}, 200, headers


@dry_runnable
def rename_label(user_id: str, identity: Identity, label: str, body: dict[str, Any]) -> Reply:
    """Return 200 with the number under which tasks changed, and how many did."""
    return _told(_service(user_id, identity).rename(label, body["name"], merge=body.get("merge", False)))


@dry_runnable
def remove_label(user_id: str, identity: Identity, label: str) -> Reply:
    """Return 200 with the number under which tasks changed, and how many did."""
    return _told(_service(user_id, identity).remove(label))


def _told(changed: LabelChange) -> Reply:
    return {"version": changed.version, "count": changed.tasks}, 200, PRIVATE


def _service(user_id: str, identity: Identity) -> LabelService:
    return LabelService(services().database, require_owner(user_id, identity.subject), caller(identity))
