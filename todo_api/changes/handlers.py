"""Operations on changes of `openapi/task-api.yaml`, one function each."""

from typing import Any

import orjson

from todo_api.auth import Identity
from todo_api.changes.service import Change, ChangeService
from todo_api.etags import is_known, known_in_space, space_tag
from todo_api.http import Reply
from todo_api.lists import MAX_PAGE
from todo_api.projects import Project, dump_project
from todo_api.schemas import dump_json
from todo_api.services import PRIVATE, caller, client_watch, require_owner, services
from todo_api.tasks import Task, dump_task

_ENVELOPE = 1024
"""Bytes of a page besides its objects."""


def list_changes(  # one argument for each parameter
    user_id: str,
    identity: Identity,
    *,
    limit: int,
    wait: int = 0,
    since: str | None = None,
    if_none_match: str | None = None,
) -> Reply:
    """Return 200 with a page of what has changed, 304 if the client knows it."""
    signer = services().signer
    feed = ChangeService(services().database, require_owner(user_id, identity.subject), caller(identity))
    if wait:
        with services().waits.waiter(identity.subject, wait, client_watch()) as waiter:
            page = feed.awaited(since, limit, signer, waiter)
    else:
        page = feed.page(since, limit, signer, known_in_space(if_none_match, identity.subject))
    tag = space_tag(identity.subject, page.epoch, page.seq)
    headers = PRIVATE | {"ETag": tag}
    if page.changes is None or is_known(if_none_match, tag):
        return None, 304, headers
    members, count = _dumped(page.changes)
    has_more = page.has_more or count < len(page.changes)
    token = feed.next(page, page.changes[count - 1] if has_more else None, signer)
    return {"full": page.is_full} | members | {"next": token, "more": has_more}, 200, headers


def _dumped(changes: list[Change]) -> tuple[dict[str, Any], int]:
    """Return the members of the first changes within MAX_PAGE bytes, at least one, and how many."""
    members: dict[str, list[bytes]] = {"tasks": [], "projects": [], "deleted": []}
    count, octets = 0, _ENVELOPE
    for change in changes:
        name, value = _member(change)
        text = dump_json(value)
        octets += len(text) + 1
        if count and octets > MAX_PAGE:
            break
        members[name].append(text)
        count += 1
    return {name: orjson.Fragment(b"[" + b",".join(texts) + b"]") for name, texts in members.items()}, count


def _member(change: Change) -> tuple[str, dict[str, Any]]:
    match change.item:
        case Task() as task:
            return "tasks", dump_task(task)
        case Project() as project:
            return "projects", dump_project(project)
        case None:
            version, _, id_ = change.position
            return "deleted", {"kind": change.kind, "id": id_, "version": version}
