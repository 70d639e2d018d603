"""New epochs: they invalidate what clients know of a database that was restored."""

from contextlib import closing

from todo_api.database import connect
from todo_api.models import EPOCH

JUMP = 2**32
"""Increment of every user's `seq`: more than a user has written since any backup.

After 2^21 restores `seq` would exceed 2^53, the largest integer of JSON that every client reads.
"""

_RENEW = f"""
SET LOCAL search_path = public;
SET LOCAL statement_timeout = 0;
ALTER TABLE users NO FORCE ROW LEVEL SECURITY;
UPDATE users SET seq = seq + {JUMP}, epoch = {EPOCH};
ALTER TABLE users FORCE ROW LEVEL SECURITY;
TRUNCATE sessions, one_time_tokens, outbox, idempotent_replies, anonymous_replies;
"""  # noqa: S608  # of constants


def renew(url: str) -> None:
    """Raise every user's `seq` and set a new epoch; delete sessions, tokens, mails and replies.

    All or nothing. `url` names the owner of the tables. Raise psycopg2's errors.
    """
    with closing(connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(_RENEW)
