"""Idempotency-Key: a repeated request gets the reply of the first one.

`decorator` passes a handler its database: with the header, a transaction that also stores the
reply. `store` keeps replies for a day, encrypted with the request's key; `statements` has the SQL.
"""

from todo_api.idempotency.decorator import NotKept, idempotent, idempotent_while, session_is_there
from todo_api.idempotency.store import IdempotencyStore

__all__ = ["IdempotencyStore", "NotKept", "idempotent", "idempotent_while", "session_is_there"]
