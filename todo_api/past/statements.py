"""SQL of what rows of history say of the past."""

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Table,
    Text,
    Uuid,
    and_,
    any_,
    cast,
    func,
    literal_column,
    select,
    tuple_,
)
from sqlalchemy.dialects.postgresql import ARRAY

from todo_api.database import Statement, param
from todo_api.models import history, projects, tasks

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


def _first_version(table: Table) -> ColumnElement[int]:
    """Return by which write the object that has the id now was created; 0 if that is not known."""
    mine = and_(table.c.user_id == param("user_id", Text), table.c.id == history.c.id)
    of_kind = history.c.kind == literal_column(f"'{table.name[:-1]}'")
    created = select(table.c.first_version).where(mine, of_kind).correlate(history).scalar_subquery()
    return func.coalesce(created, literal_column("0"))


_OF_PRESENT = and_(*(history.c.seq > _first_version(table) for table in (tasks, projects)))
"""The condition for what happened to the present object of an id, which others may have had."""


def _rows(*conditions: ColumnElement[bool], most: int | None = None) -> Statement:
    mine = history.c.user_id == param("user_id", Text)
    rows = select(*_COLUMNS).where(mine, *conditions).order_by(history.c.seq, history.c.kind, history.c.id)
    return Statement(rows if most is None else rows.limit(literal_column(str(most))))


since = _rows(
    history.c.id == param("object_id", Uuid),
    history.c.kind == param("kind", Text),
    history.c.seq > _SEQ,
    _OF_PRESENT,
)
"""Return what changed an object after a number, the first change first."""

of_objects = _rows(history.c.id == any_(param("ids", ARRAY(Uuid))), history.c.seq > _SEQ)
"""Return what changed several objects after a number."""

PAGE = 1000
"""Number of changes that are read at once."""

of_write = _rows(
    history.c.seq == _SEQ,
    history.c.changes != literal_column("'{}'"),
    _OF_PRESENT,
    tuple_(history.c.kind, history.c.id) > tuple_(param("kind", Text), param("object_id", Uuid)),
    most=PAGE,
)
"""Return a page of the members that the write of a number changed, after an object."""
