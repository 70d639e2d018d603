"""Operations on the history of `openapi/task-api.yaml`, one function each."""

from typing import Any
from uuid import UUID

import orjson

from todo_api.auth import Identity
from todo_api.contract import parse_date_time
from todo_api.errors import ValidationFailed, Violation
from todo_api.etags import is_known, known_in_space, space_tag
from todo_api.history.entries import dump_entry
from todo_api.history.service import Cursor, HistoryFilter, HistoryPage, HistoryService
from todo_api.http import Reply
from todo_api.lists import MAX_PAGE
from todo_api.schemas import dump_json
from todo_api.services import PRIVATE, caller, require_owner, services

_ENVELOPE = 2048
"""Bytes of a page besides its entries."""


def list_task_history(  # one argument for each parameter
    user_id: str,
    identity: Identity,
    task_id: str,
    *,
    limit: int,
    cursor: str | None = None,
    if_none_match: str | None = None,
) -> Reply:
    """Return 200 with a page of a task's history, 304 if the client knows it."""
    service = _service(user_id, identity)
    named = str(UUID(task_id))
    page = service.of_task(named, limit, _signed(cursor), known_in_space(if_none_match, identity.subject))
    return _reply(page, named, service, identity, if_none_match)


def list_history(
    user_id: str,
    identity: Identity,
    *,
    limit: int,
    cursor: str | None = None,
    if_none_match: str | None = None,
    **filters: Any,  # one is called `from`
) -> Reply:
    """Return 200 with a page of the history, 304 if the client knows it."""
    service, wanted = _service(user_id, identity), _load_filter(filters)
    page = service.of_all(wanted, limit, _signed(cursor), known_in_space(if_none_match, identity.subject))
    return _reply(page, wanted, service, identity, if_none_match)


def _service(user_id: str, identity: Identity) -> HistoryService:
    owner = require_owner(user_id, identity.subject)
    return HistoryService(services().database, owner, caller(identity))


def _signed(cursor: str | None) -> Cursor:
    return None if cursor is None else (cursor, services().signer)


def _load_filter(sent: dict[str, str]) -> HistoryFilter:
    since, until = (parse_date_time(sent[name]) if name in sent else None for name in ("from", "to"))
    if since is not None and until is not None and since > until:
        raise ValidationFailed([Violation("query", "/from", "conflicting", "Must not be later than to.")])
    begin, end = (None if time is None else time.isoformat() for time in (since, until))
    actor = sent.get("actor_id")
    return HistoryFilter(begin, end, None if actor is None else str(UUID(actor)), sent.get("action"))


def _reply(
    page: HistoryPage, wanted: HistoryFilter | str, service: HistoryService, identity: Identity, known: str | None
) -> Reply:
    """Return the page, with as many entries as MAX_PAGE bytes take, at least one."""
    tag = space_tag(identity.subject, page.epoch, page.seq)
    headers = PRIVATE | {"ETag": tag}
    if page.entries is None or is_known(known, tag):
        return None, 304, headers
    texts: list[bytes] = []
    octets = _ENVELOPE
    for entry in page.entries:
        text = dump_json(dump_entry(entry))
        octets += len(text) + 1
        if texts and octets > MAX_PAGE:
            break
        texts.append(text)
    has_more = page.has_more or len(texts) < len(page.entries)
    next_cursor = service.cursor(page.entries[len(texts) - 1], wanted, services().signer) if has_more else None
    items = orjson.Fragment(b"[" + b",".join(texts) + b"]")
    return {"items": items, "next_cursor": next_cursor}, 200, headers
