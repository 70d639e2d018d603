"""Decorator of handlers: a repeated request with the same `Idempotency-Key` acts once."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import orjson

from todo_api.auth import Identity
from todo_api.database import RoleSessions, Transaction
from todo_api.http import Reply
from todo_api.idempotency.store import Outcome, Request
from todo_api.services import caller, require_owner, services

DATABASE = "database"
KEY = "idempotency_key"
REPLAYED = "Idempotency-Replayed"

Handler = Callable[..., Reply]
StillValid = Callable[[RoleSessions, Any, dict[str, Any]], bool]
"""Return whether a stored reply's body is still valid for a request with these arguments.

May raise what the handler raises.
"""


class NotKept(NamedTuple):
    """A reply that is not stored: the request found nothing to do, and may find something later."""

    body: Any
    status: int
    headers: dict[str, str]


def idempotent_while(still_valid: StillValid) -> Callable[[Handler], Handler]:
    """Decorate as `idempotent` does.

    If the stored reply is no longer valid, the request runs again.
    """
    return functools.partial(_idempotent, still_valid=still_valid)


def idempotent(handler: Handler) -> Handler:
    """Decorate the handler of an operation with `Idempotency-Key`. The handler gets a `database`.

    Without the header that is the database itself. With it, that is a transaction which also stores
    a 2xx reply. An error rolls it back, unless its `commit_on_error` is set.

    A repeated request gets the stored reply with `Idempotency-Replayed: true`. Its parameters and
    body must be the same.
    """
    return _idempotent(handler, still_valid=lambda *_: True)


def session_is_there(database: RoleSessions, _: object, arguments: dict[str, Any]) -> bool:
    """Return True, or raise Unauthorized if the session of the token has ended."""
    identity: Identity = arguments["identity"]
    caller(identity).check(database.as_user(identity.subject), identity.subject, session=True)
    return True


def _idempotent(handler: Handler, still_valid: StillValid) -> Handler:
    # Connexion passes what the signature names: the key in place of the database.
    signature = inspect.signature(handler)
    passed_on = [parameter for name, parameter in signature.parameters.items() if name != DATABASE]
    key = inspect.Parameter(KEY, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=str | None)

    @functools.wraps(handler)
    def decorated(*, idempotency_key: str | None = None, **arguments: Any) -> Reply:
        if idempotency_key is None:
            return handler(database=services().database, **arguments)
        return _once(handler, still_valid, idempotency_key, arguments)

    decorated.__signature__ = signature.replace(parameters=[*passed_on, key])  # type: ignore[attr-defined]  # every function has it
    return decorated


def _once(handler: Handler, still_valid: StillValid, key: str, arguments: dict[str, Any]) -> Reply:
    user, sent = _sent(arguments)
    content = orjson.dumps([handler.__name__, sent], option=orjson.OPT_SORT_KEYS)

    def operation(transaction: Transaction) -> Outcome:
        reply = handler(database=transaction, **arguments)
        return Outcome(orjson.dumps([*reply], option=orjson.OPT_UTC_Z), is_kept=not isinstance(reply, NotKept))

    def is_valid(transaction: Transaction, reply: bytes) -> bool:
        return still_valid(transaction, orjson.loads(reply)[0], arguments)

    reply, replayed = services().replies.run(Request(user, key.strip('"'), content), operation, is_valid)
    body, status, headers = orjson.loads(reply)
    return body, status, headers | {REPLAYED: "true"} if replayed else headers


def _sent(arguments: dict[str, Any]) -> tuple[str | None, dict[str, Any]]:
    """Return the user, None if unknown, and the arguments that the client sent.

    Raise Forbidden if the path names another user.
    """
    sent = dict(arguments)
    identity: Identity | None = sent.pop("identity", None)
    user = None if identity is None else identity.subject
    if user is not None and "user_id" in sent:
        require_owner(sent["user_id"], user)
    return user, sent
