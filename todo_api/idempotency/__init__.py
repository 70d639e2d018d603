"""Idempotency-Key: a request that is sent again gets the reply of the first time.

`decorator` hands a handler its database: with the header, a transaction that keeps the reply as well.
`store` keeps the replies, encrypted with the request's own key, and deletes them after a day; `statements` has the SQL.
"""

from todo_api.idempotency.decorator import NotKept, idempotent, idempotent_while, session_is_there
from todo_api.idempotency.store import IdempotencyStore

__all__ = ["IdempotencyStore", "NotKept", "idempotent", "idempotent_while", "session_is_there"]
