"""Retries: an operation that is called again with the same `Idempotency-Key` acts once, and replies the same."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import orjson

from todo_api.auth import Identity
from todo_api.database import Scopes, Transaction
from todo_api.http import Reply
from todo_api.idempotency.store import Outcome, Request
from todo_api.services import caller, owner, parts

DATABASE = "database"
KEY = "idempotency_key"
REPLAYED = "Idempotency-Replayed"

Handler = Callable[..., Reply]
StillValid = Callable[[Scopes, Any, dict[str, Any]], bool]
"""Return whether the body of a kept reply is still good for a request with these arguments. May raise what the handler raises."""


class NotKept(NamedTuple):
    """A reply that is not kept: the request found nothing to do."""

    body: Any
    status: int
    headers: dict[str, str]


def idempotent_while(still_valid: StillValid) -> Callable[[Handler], Handler]:
    """Decorate as `idempotent` does; a retry whose kept reply is no longer valid runs anew."""
    return functools.partial(_idempotent, still_valid=still_valid)


def idempotent(handler: Handler) -> Handler:
    """Decorate the handler of an operation with the parameter `Idempotency-Key`. The handler gets its `database` from here.

    Without the header that is the database itself. With it, it is one transaction, which keeps a 2xx reply as well; an error rolls
    it back, but for one whose `changes_hold`. A retry gets the reply with `Idempotency-Replayed: true`. The same request
    is one with the same values of every parameter and the body.
    """
    return _idempotent(handler, still_valid=lambda *_: True)


def session_is_there(database: Scopes, _: object, arguments: dict[str, Any]) -> bool:
    """For the operations on credentials: raise Unauthorized for a token whose session has ended, also where a reply was kept."""
    identity: Identity = arguments["identity"]
    caller(identity).check(database.as_user(identity.subject), identity.subject, session=True)
    return True


def _idempotent(handler: Handler, still_valid: StillValid) -> Handler:
    signature = inspect.signature(handler)
    sent = [parameter for name, parameter in signature.parameters.items() if name != DATABASE]
    key = inspect.Parameter(KEY, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=str | None)

    @functools.wraps(handler)
    def answer(*, idempotency_key: str | None = None, **arguments: Any) -> Reply:
        if idempotency_key is None:
            return handler(database=parts().database, **arguments)
        return _once(handler, still_valid, idempotency_key, arguments)

    answer.__signature__ = signature.replace(parameters=[*sent, key])  # type: ignore[attr-defined]  # of every function
    return answer


def _once(handler: Handler, still_valid: StillValid, key: str, arguments: dict[str, Any]) -> Reply:
    user, sent = _sent(arguments)
    content = orjson.dumps([handler.__name__, sent], option=orjson.OPT_SORT_KEYS)

    def operation(transaction: Transaction) -> Outcome:
        reply = handler(database=transaction, **arguments)
        return Outcome(orjson.dumps([*reply], option=orjson.OPT_UTC_Z), is_kept=not isinstance(reply, NotKept))

    def is_valid(transaction: Transaction, reply: bytes) -> bool:
        return still_valid(transaction, orjson.loads(reply)[0], arguments)

    reply, replayed = parts().replies.run(Request(user, key.strip('"'), content), operation, is_valid)
    body, status, headers = orjson.loads(reply)
    return body, status, headers | {REPLAYED: "true"} if replayed else headers


def _sent(arguments: dict[str, Any]) -> tuple[str | None, dict[str, Any]]:
    """Return who asks, None before a user is known, and what was sent. Raise Forbidden at another's address, before any look-up."""
    sent = dict(arguments)
    identity: Identity | None = sent.pop("identity", None)
    user = None if identity is None else identity.subject
    if user is not None and "user_id" in sent:
        owner(sent["user_id"], user)
    return user, sent
