"""SQL of what rows of history say of the past."""

from sqlalchemy import BigInteger, ColumnElement, Text, Uuid, any_, cast, select
from sqlalchemy.dialects.postgresql import ARRAY

from todo_api.database import Statement, param
from todo_api.models import history

_COLUMNS = (
    history.c.seq,
    history.c.kind,
    history.c.id,
    history.c.action,
    history.c.version_before,
    cast(history.c.changes, Text),
    history.c.cut,
)
_SEQ = param("seq", BigInteger)


def _rows(*conditions: ColumnElement[bool]) -> Statement:
    mine = history.c.user_id == param("user_id", Text)
    return Statement(select(*_COLUMNS).where(mine, *conditions).order_by(history.c.seq, history.c.kind, history.c.id))


since = _rows(history.c.id == param("object_id", Uuid), history.c.kind == param("kind", Text), history.c.seq > _SEQ)
"""Return what changed an object after a number, the first change first."""

of_objects = _rows(history.c.id == any_(param("ids", ARRAY(Uuid))), history.c.seq > _SEQ)
"""Return what changed several objects after a number."""

of_write = _rows(history.c.seq == _SEQ)
"""Return what the write of a number changed."""
