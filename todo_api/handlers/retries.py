"""Retries: an operation that is called again with the same `Idempotency-Key` acts once, and replies the same."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import orjson

from todo_api.handlers.spaces import bind, owner, parts
from todo_api.pipeline.bridge import Reply
from todo_api.scopes import Transaction
from todo_api.services.replies import Request

KEY = "idempotency_key"
REPLAYED = "Idempotency-Replayed"


def replayable(handler: Callable[..., Reply]) -> Callable[..., Reply]:
    """The handler, for a contract with the parameter `Idempotency-Key`. Without the header it is called as it is.

    With it, all it asks of the database is one transaction, which keeps a 2xx reply as well; an error undoes it, but for one whose
    `changes_hold`. A retry gets the reply with `Idempotency-Replayed: true`. The same request is one with the same values of every
    parameter and the body.
    """
    signature = inspect.signature(handler)
    key = inspect.Parameter(KEY, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=str | None)

    @functools.wraps(handler)
    def answer(*, idempotency_key: str | None = None, **arguments: Any) -> Reply:
        return handler(**arguments) if idempotency_key is None else _once(handler, idempotency_key, arguments)

    answer.__signature__ = signature.replace(parameters=[*signature.parameters.values(), key])  # type: ignore[attr-defined]  # of every function
    return answer


def _once(handler: Callable[..., Reply], key: str, arguments: dict[str, Any]) -> Reply:
    user, sent = _sent(arguments)
    content = orjson.dumps([handler.__name__, sent], option=orjson.OPT_SORT_KEYS)

    def act(transaction: Transaction) -> bytes:
        bind(replace(parts(), database=transaction))
        return orjson.dumps(handler(**arguments), option=orjson.OPT_UTC_Z)

    reply, replayed = parts().replies.once(Request(user, key.strip('"'), content), act)
    body, status, headers = orjson.loads(reply)
    return body, status, headers | {REPLAYED: "true"} if replayed else headers


def _sent(arguments: dict[str, Any]) -> tuple[str | None, dict[str, Any]]:
    """Who asks, None before a user is known, and what was sent. Raises Forbidden at another's address, before any look-up."""
    sent = dict(arguments)
    user, identity = sent.pop("user", None), sent.pop("identity", None)
    if user is None and identity is not None:
        user = identity.subject
    if user is not None and "user_id" in sent:
        owner(sent["user_id"], user)
    return user, sent
