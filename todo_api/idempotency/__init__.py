"""Idempotency-Key: a request that is sent again gets the reply of the first time.

`decorator` is what handlers wear: it runs the handler in a transaction that keeps the reply as well.
`store` keeps the replies, encrypted with the request's own key, and deletes them after a day; `statements` has the SQL.
"""

from todo_api.idempotency.decorator import found_nothing, replayable, replayable_while, session_is_there
from todo_api.idempotency.store import Replies

__all__ = ["Replies", "found_nothing", "replayable", "replayable_while", "session_is_there"]
