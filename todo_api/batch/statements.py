"""SQL of a batch: the lock of the user's row, their number, and versions before the batch."""

from functools import cache

from sqlalchemy import BigInteger, Table, Text, Uuid, any_, select, update
from sqlalchemy.dialects.postgresql import ARRAY, insert

from todo_api import guards
from todo_api.database import Statement, param
from todo_api.models import projects, tasks, users

_USER_ID = param("user_id", Text)
_SEQ = param("seq", BigInteger)


@cache
def lock(*, by_key: bool) -> Statement:
    """Lock the user's row and the caller's key; return the user's last number."""
    return Statement(select(guards.locked(key=by_key, columns=[users.c.seq]).c.seq))


register = Statement(insert(users).values(id=_USER_ID).on_conflict_do_nothing())
"""Give the user a row, unless they have one."""

set_number = Statement(
    update(users).where(users.c.id == _USER_ID, users.c.seq != _SEQ).values(seq=_SEQ).returning(users.c.seq)
)
"""Set the user's last number. Return a row if it was another."""


def _versions(table: Table) -> Statement:
    mine = (table.c.user_id == _USER_ID, table.c.id == any_(param("ids", ARRAY(Uuid))))
    return Statement(select(table.c.id, table.c.version).where(*mine))


versions = {"task": _versions(tasks), "project": _versions(projects)}
"""Return (id, version) of each of the `ids` that there is."""
