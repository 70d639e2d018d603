"""Operations on tasks of `openapi/task-api.yaml`, one function each."""

from bisect import bisect_right
from functools import partial
from itertools import accumulate
from typing import Any
from urllib.parse import urlencode

import orjson

from todo_api.auth import Identity
from todo_api.database import RoleSessions
from todo_api.dry_runs import dry_runnable
from todo_api.errors import ValidationFailed, Violation
from todo_api.etags import is_known, known_in_space, matched_versions, space_tag
from todo_api.http import Reply
from todo_api.idempotency import idempotent
from todo_api.lists import MAX_PAGE, Place
from todo_api.schemas import dump_json
from todo_api.services import PRIVATE, address_of, caller, require_owner, services
from todo_api.task_rows import Task
from todo_api.task_tree import load_destination
from todo_api.tasks.merging import merge
from todo_api.tasks.schemas import (
    dump_task,
    load_task_filter,
    load_task_input,
    load_task_patch,
    load_task_replacement,
)
from todo_api.tasks.service import TaskService

MAX_WORDS = 8
"""Maximum number of words of a search: each is searched for in every text."""

MOST_OCTETS = 8000
"""Maximum length of an address that a client can ask for, as the contract promises."""

_ENVELOPE = 2048
"""Bytes of a page besides its tasks: names, total, and a cursor of at most 1,414 characters."""


def list_tasks(  # noqa: PLR0913  # one argument for each parameter that is no filter
    user_id: str,
    identity: Identity,
    *,
    sort: str,
    limit: int,
    skip: int | None = None,
    cursor: str | None = None,
    if_none_match: str | None = None,
    **filters: Any,
) -> Reply:
    """Return 200 with a page of tasks, 304 if the client knows it."""
    database, signer = services().database, services().signer
    tasks = _service(database, user_id, identity)
    if cursor is not None and skip is not None:
        raise ValidationFailed([Violation("query", "/skip", "conflicting", "Send skip or cursor, not both.")])
    if len(filters.get("q", "").split()) > MAX_WORDS:
        raise ValidationFailed([Violation("query", "/q", "too_many", f"Must have at most {MAX_WORDS} words.")])
    wanted = load_task_filter(sort, filters)
    known = partial(known_in_space, if_none_match, identity.subject)
    page = tasks.list(wanted, Place(limit, skip or 0, cursor), signer, known)
    tag = space_tag(identity.subject, page.epoch, page.seq, page.stamp)
    headers = PRIVATE | {"ETag": tag}
    if page.tasks is None or is_known(if_none_match, tag):
        return None, 304, headers
    items, fitting = _dumped([dump_task(task) for task in page.tasks], MAX_PAGE - _ENVELOPE)
    next_cursor = None
    if page.has_more or fitting < len(page.tasks):
        next_cursor = tasks.cursor_after(page, fitting - 1, wanted, signer)
        query = [urlencode({name: _text(value)}, safe=",") for name, value in filters.items()]
        query += [f"sort={sort}", f"limit={limit}", f"cursor={next_cursor}"]  # nothing to escape
        address = f"{address_of(user_id, '/tasks')}?{'&'.join(query)}"
        if len(address) <= MOST_OCTETS:
            headers["Link"] = f'<{address}>; rel="next"'
    body = {"items": orjson.Fragment(items), "total": page.total, "next_cursor": next_cursor}
    return body | {"as_of": page.as_of, "time_zone": page.time_zone}, 200, headers


@dry_runnable
@idempotent
def create_task(user_id: str, identity: Identity, body: dict[str, Any], *, database: RoleSessions) -> Reply:
    """Return 201 with the new task and its `Location`."""
    task = _service(database, user_id, identity).create(*load_task_input(body))
    return dump_task(task), 201, _tagged(task) | {"Location": address_of(user_id, f"/tasks/{task.id}")}


def get_task(user_id: str, identity: Identity, task_id: str, if_none_match: str | None = None) -> Reply:
    """Return 200 with the task, 304 if the client knows it."""
    task = _service(services().database, user_id, identity).get(task_id)
    headers = _tagged(task)
    if is_known(if_none_match, headers["ETag"]):
        return None, 304, headers
    return dump_task(task), 200, headers


@dry_runnable
def replace_task(
    user_id: str, identity: Identity, task_id: str, body: dict[str, Any], if_match: str | None = None
) -> Reply:
    """Return 200 with the task, after setting its members; those after 1.0 if they are named."""
    changes = load_task_replacement(body)
    task = _service(services().database, user_id, identity).change(task_id, changes, matched_versions(if_match))
    return dump_task(task), 200, _tagged(task)


@dry_runnable
def update_task(
    user_id: str,
    identity: Identity,
    task_id: str,
    body: dict[str, Any],
    if_match: str | None = None,
    base: int | None = None,
) -> Reply:
    """Return 200 with the task, after setting the members of the merge patch."""
    changes = load_task_patch(body)
    service = _service(services().database, user_id, identity)
    if base is None:
        task = service.change(task_id, changes, matched_versions(if_match))
    elif if_match is None:
        task = merge(services().database, identity.subject, caller(identity), task_id, changes, base)
    else:
        raise ValidationFailed([Violation("query", "/base", "conflicting", "Send base or If-Match, not both.")])
    return dump_task(task), 200, _tagged(task)


@dry_runnable
@idempotent
def complete_task(
    user_id: str,
    identity: Identity,
    task_id: str,
    body: dict[str, Any] | None,
    if_match: str | None = None,
    *,
    database: RoleSessions,
) -> Reply:
    """Return 200 with the task, completed or reopened."""
    sent = body or {}
    service = _service(database, user_id, identity)
    task = service.complete(task_id, sent.get("completed"), matched_versions(if_match), sent.get("subtasks"))
    return dump_task(task), 200, _tagged(task)


@dry_runnable
@idempotent
def move_task(
    user_id: str,
    identity: Identity,
    task_id: str,
    body: dict[str, Any],
    if_match: str | None = None,
    *,
    database: RoleSessions,
) -> Reply:
    """Return 200 with the task, in its new place."""
    branch, destination = load_destination(body)
    task = _service(database, user_id, identity).move(task_id, branch, destination, matched_versions(if_match))
    return dump_task(task), 200, _tagged(task)


@dry_runnable
def delete_task(
    user_id: str, identity: Identity, task_id: str, if_match: str | None = None, *, permanent: bool = False
) -> Reply:
    """Return 204."""
    service = _service(services().database, user_id, identity)
    service.delete(task_id, matched_versions(if_match), permanent=permanent)
    return None, 204, PRIVATE


def _service(database: RoleSessions, user_id: str, identity: Identity) -> TaskService:
    return TaskService(database, require_owner(user_id, identity.subject), caller(identity))


def _tagged(task: Task) -> dict[str, str]:
    return PRIVATE | {"ETag": task.tag}


def _dumped(items: list[dict[str, Any]], octets: int) -> tuple[bytes, int]:
    """Return the JSON of the first items within `octets` bytes, at least one, and their number."""
    whole = dump_json(items)
    if len(whole) <= octets:
        return whole, len(items)
    ends = accumulate(
        (len(dump_json(item)) + 1 for item in items), initial=1
    )  # a bracket, then each with what follows it
    count = max(bisect_right([*ends], octets) - 1, 1)
    return dump_json(items[:count]), count


def _text(value: Any) -> str:
    """Return the value of a filter as it is written in an address."""
    if isinstance(value, list):
        return ",".join(value)
    return str(value).lower() if isinstance(value, bool) else str(value)
