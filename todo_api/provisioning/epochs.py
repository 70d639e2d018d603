"""New epochs: what clients remember of a database that was put back to an earlier moment is good no more."""

from contextlib import closing

from todo_api.database import connect
from todo_api.models import EPOCH

JUMP = 2**32
"""By how much every user's number rises: more than was written since any backup. 2^21 restores fit below 2^53."""

_RENEW = f"""
SET LOCAL search_path = public;
SET LOCAL statement_timeout = 0;
ALTER TABLE users NO FORCE ROW LEVEL SECURITY;
UPDATE users SET seq = seq + {JUMP}, epoch = {EPOCH};
ALTER TABLE users FORCE ROW LEVEL SECURITY;
TRUNCATE sessions, idempotent_replies, anonymous_replies;
"""  # noqa: S608  # of constants


def renew(url: str) -> None:
    """Raise every user's number, draw every user a new epoch, and end sessions and kept replies, all or nothing.

    `url` names the owner of the tables. Raises psycopg2's errors.
    """
    with closing(connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(_RENEW)
