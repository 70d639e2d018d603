"""Retries: an operation that is called again with the same `Idempotency-Key` acts once, and replies the same."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import flask
import orjson

from todo_api.auth import Identity
from todo_api.database import Transaction
from todo_api.http import Reply
from todo_api.idempotency.store import Request
from todo_api.services import bind, caller, owner, parts

KEY = "idempotency_key"
REPLAYED = "Idempotency-Replayed"

Handler = Callable[..., Reply]
Holds = Callable[[Any, dict[str, Any]], bool]
"""Whether the body of a kept reply is still good for a request with these arguments. May raise what the handler raises."""


def replayable_while(holds: Holds) -> Callable[[Handler], Handler]:
    """As `replayable`, for a kept reply that is good only while `holds`. Else the retry runs anew."""
    return functools.partial(_replayable, holds=holds)


def replayable(handler: Handler) -> Handler:
    """The handler, for a contract with the parameter `Idempotency-Key`. Without the header it is called as it is.

    With it, all it asks of the database is one transaction, which keeps a 2xx reply as well; an error undoes it, but for one whose
    `changes_hold`. A retry gets the reply with `Idempotency-Replayed: true`. The same request is one with the same values of every
    parameter and the body.
    """
    return _replayable(handler, holds=lambda *_: True)


def session_is_there(_: object, arguments: dict[str, Any]) -> bool:
    """For the operations on credentials: raises Unauthorized for a token whose session has ended, also where a reply was kept."""
    identity: Identity = arguments["identity"]
    caller(identity).check(parts().database.as_user(identity.subject), identity.subject, session=True)
    return True


def found_nothing() -> None:
    """Has no reply kept for this request: it found nothing to do."""
    flask.g.found_nothing = True


def _replayable(handler: Handler, holds: Holds) -> Handler:
    signature = inspect.signature(handler)
    key = inspect.Parameter(KEY, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=str | None)

    @functools.wraps(handler)
    def answer(*, idempotency_key: str | None = None, **arguments: Any) -> Reply:
        return handler(**arguments) if idempotency_key is None else _once(handler, holds, idempotency_key, arguments)

    answer.__signature__ = signature.replace(parameters=[*signature.parameters.values(), key])  # type: ignore[attr-defined]  # of every function
    return answer


def _once(handler: Handler, holds: Holds, key: str, arguments: dict[str, Any]) -> Reply:
    user, sent = _sent(arguments)
    content = orjson.dumps([handler.__name__, sent], option=orjson.OPT_SORT_KEYS)

    def act(transaction: Transaction) -> bytes:
        bind(replace(parts(), database=transaction))
        return orjson.dumps(handler(**arguments), option=orjson.OPT_UTC_Z)

    def is_good(transaction: Transaction, reply: bytes) -> bool:
        bind(replace(parts(), database=transaction))
        return holds(orjson.loads(reply)[0], arguments)

    request = Request(user, key.strip('"'), content)
    reply, replayed = parts().replies.once(request, act, is_good, lambda: not flask.g.get("found_nothing", False))
    body, status, headers = orjson.loads(reply)
    return body, status, headers | {REPLAYED: "true"} if replayed else headers


def _sent(arguments: dict[str, Any]) -> tuple[str | None, dict[str, Any]]:
    """Who asks, None before a user is known, and what was sent. Raises Forbidden at another's address, before any look-up."""
    sent = dict(arguments)
    identity: Identity | None = sent.pop("identity", None)
    user = None if identity is None else identity.subject
    if user is not None and "user_id" in sent:
        owner(sent["user_id"], user)
    return user, sent
