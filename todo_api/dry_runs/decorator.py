"""Decorator of handlers: with `dry_run=true` a write runs in full, and nothing of it is kept."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

from todo_api.contract import DRY_RUN
from todo_api.errors import ValidationFailed, Violation
from todo_api.http import Reply
from todo_api.services import services, using

KEY = "idempotency_key"

Handler = Callable[..., Reply]

_CONFLICTING = Violation("query", f"/{DRY_RUN}", "conflicting", "Send dry_run or Idempotency-Key, not both.")


def dry_runnable(handler: Handler) -> Handler:
    """Decorate the handler of an operation with `dry_run`. It is the outermost decorator.

    With `dry_run=true` the `database` of the handler's services is a transaction, which rolls back
    whatever the handler does: commits inside of it are none. The reply or error is the handler's.
    With an `Idempotency-Key` it raises ValidationFailed: the kept reply would be told as that of
    the write.
    """
    signature = inspect.signature(handler)
    dry = inspect.Parameter(DRY_RUN, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=bool)

    @functools.wraps(handler)
    def decorated(*, dry_run: bool = False, **arguments: Any) -> Reply:
        if not dry_run:
            return handler(**arguments)
        if arguments.get(KEY) is not None:
            raise ValidationFailed([_CONFLICTING])
        return _rolled_back(handler, arguments)

    decorated.__signature__ = signature.replace(parameters=[*signature.parameters.values(), dry])  # type: ignore[attr-defined]  # every function has it
    return decorated


def _rolled_back(handler: Handler, arguments: dict[str, Any]) -> Reply:
    # The inner block makes the transaction a nested one for the handler, which cannot commit it.
    with services().database.transaction() as transaction, transaction.transaction(), using(transaction):
        try:
            return handler(**arguments)
        finally:
            transaction.rollback()
