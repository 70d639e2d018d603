"""SQL of a batch: the lock of the user's row, their number, versions, and many new tasks."""

from functools import cache
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    ColumnClause,
    Integer,
    Interval,
    SmallInteger,
    Table,
    Text,
    Uuid,
    any_,
    case,
    column,
    func,
    literal_column,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, insert

from todo_api import guards
from todo_api.database import Statement, param
from todo_api.models import STATUSES, projects, tasks, trash, users
from todo_api.ordering import clock_key
from todo_api.task_rows import as_task

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

number = Statement(select(users.c.seq).where(users.c.id == _USER_ID))


def _versions(table: Table) -> Statement:
    mine = (table.c.user_id == _USER_ID, table.c.id == any_(param("ids", ARRAY(Uuid))))
    return Statement(select(table.c.id, table.c.version).where(*mine))


versions = {"task": _versions(tasks), "project": _versions(projects)}
"""Return (id, version) of each of the `ids` that there is."""


def _taken() -> Statement:
    ids = any_(param("ids", ARRAY(Uuid)))
    there = select(tasks.c.id).where(tasks.c.user_id == _USER_ID, tasks.c.id == ids)
    is_task = trash.c.kind == literal_column("'task'")
    return Statement(there.union_all(select(trash.c.id).where(trash.c.user_id == _USER_ID, is_task, trash.c.id == ids)))


taken = _taken()
"""Return those of the `ids` that a task has, in the trash as well."""


def _create() -> Statement:
    kinds = {"number": Integer, "id": Uuid, "title": Text, "description": Text, "status": Text}
    kinds |= {"priority": SmallInteger, "links": Text, "project_id": Uuid}
    columns: list[ColumnClause[Any]] = [column(name, kind) for name, kind in kinds.items()]
    new = func.json_to_recordset(param("new", JSON)).table_valued(*columns, name="new").render_derived(with_types=True)
    counts = {status: users.c[status] + param(status, Integer) for status in STATUSES}
    owner = guards.numbered(**counts)
    # To insert a task takes longer than a microsecond, so that none of these is of the future.
    at = owner.c.at + new.c.number * literal_column("interval '1 microsecond'", Interval)
    values = {
        **{name: new.c[name] for name in kinds if name != "number"},
        "user_id": _USER_ID,
        "completed_at": case((new.c.status == literal_column("'completed'"), at)),
        "created_at": at,
        "updated_at": at,
        "version": owner.c.seq,
        "first_version": owner.c.seq,
        "position": clock_key(at),
        "created_by": guards.actor(guards.key_name()),
    }
    made = insert(tasks).from_select([*values], select(*values.values()).select_from(owner.join(new, true())))
    return Statement(made.returning(*as_task(tasks)), times_as_text=True)


create = _create()
"""Insert the tasks of the JSON array `new`, each a microsecond after the one before."""
