"""SQL of projects. A write locks the user's row first and takes their next number, as all do."""

from collections.abc import Sequence
from functools import cache

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    Text,
    Uuid,
    and_,
    any_,
    delete,
    func,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, insert

from todo_api import guards
from todo_api.database import Statement, column_value, if_named, param
from todo_api.models import MOST_PROJECTS, projects, tasks, users
from todo_api.ordering import clock_key
from todo_api.task_tree import counts_without

USER_ID = param("user_id", Text)
PROJECT_ID = param("project_id", Uuid)
MINE = and_(projects.c.user_id == USER_ID, projects.c.id == PROJECT_ID)

WRITTEN = (projects.c.name, projects.c.description, projects.c.color)
"""Columns that a client writes. A change names those that it sets in `named`."""

COLUMNS = (
    projects.c.id,
    *WRITTEN,
    projects.c.position,
    projects.c.created_at,
    projects.c.updated_at,
    projects.c.version,
)

get = Statement(select(*COLUMNS).where(MINE))
several = Statement(
    select(*COLUMNS).where(projects.c.user_id == USER_ID, projects.c.id == any_(param("ids", ARRAY(Uuid))))
)
is_in_trash = Statement(select(literal_column("1")).where(guards.is_in_trash("project", PROJECT_ID)))
is_full = Statement(select(users.c.id).where(users.c.id == USER_ID, users.c.projects >= MOST_PROJECTS))
register = Statement(insert(users).values(id=USER_ID).on_conflict_do_nothing())
"""Give the user a row, unless they have one."""


def _list() -> Statement:
    """Return (epoch, seq, *project) per project; no project if `known` has the user's `epoch-seq`.

    A user without projects has one row of nulls, an unknown one has none.
    """
    wanted = and_(projects.c.user_id == users.c.id, guards.is_unknown())
    return Statement(
        select(users.c.epoch, users.c.seq, *COLUMNS)
        .select_from(users.outerjoin(projects, wanted))
        .where(users.c.id == USER_ID)
        .order_by(projects.c.position, projects.c.id)
    )


list_ = _list()


@cache
def create(*, chosen: bool, by_key: bool) -> Statement:
    """Insert a project, the last by position. Return nothing if the limit or the id forbids it.

    An id that a client has `chosen` may be one of the trash.

    Whether the id is taken is known once the project is inserted. The number is taken after that.
    The user's row was locked before, so it is still the next one, and the limit is kept.
    """
    me = guards.locked(users.c.projects < MOST_PROJECTS, key=by_key, columns=[users.c.seq])
    owner = select((me.c.seq + 1).label("seq"), func.clock_timestamp().label("at")).cte("owner")
    values = {
        projects.c.user_id: USER_ID,
        projects.c.id: PROJECT_ID,
        **{column: column_value(column) for column in WRITTEN},
        projects.c.position: clock_key(owner.c.at),
        projects.c.created_at: owner.c.at,
        projects.c.updated_at: owner.c.at,
        projects.c.version: owner.c.seq,
        projects.c.first_version: owner.c.seq,
    }
    free = [~guards.is_in_trash("project", PROJECT_ID)] if chosen else []
    made = (
        insert(projects)
        .from_select(list(values), select(*values.values()).where(*free))
        .on_conflict_do_nothing(index_elements=[projects.c.user_id, projects.c.id])
        .returning(*COLUMNS)
        .cte("made")
    )
    counted = (
        update(users)
        .where(users.c.id == USER_ID, made.c.version.is_not(None))
        .values(seq=users.c.seq + 1, projects=users.c.projects + 1)
    )
    return Statement(counted.returning(*made.c))


@cache
def change(*, conditional: bool, by_key: bool) -> Statement:
    """Set the `named` columns, if one of them changes; conditional: only at `versions`."""
    me = guards.locked(key=by_key)
    changes = or_(*(if_named(column).is_distinct_from(column) for column in WRITTEN))
    project = (
        select(projects.c.id)
        .where(projects.c.user_id == me.c.id, MINE, changes, *_at_versions(conditional))
        .with_for_update(key_share=True, of=projects)
        .cte("project")
    )
    owner = guards.numbered(project.c.id.is_not(None))
    values = {column: if_named(column) for column in WRITTEN}
    values |= {projects.c.updated_at: owner.c.at, projects.c.version: owner.c.seq}
    return Statement(update(projects).where(MINE).values(values).returning(*COLUMNS))


@cache
def lock(*, by_key: bool) -> Statement:
    """Lock the user's row and the caller's key; return the position key of that moment."""
    return Statement(select(clock_key(func.clock_timestamp())).select_from(guards.locked(key=by_key)))


placed = Statement(
    select(projects.c.position, projects.c.id)
    .where(projects.c.user_id == USER_ID)
    .order_by(projects.c.position, projects.c.id)
)


def _place() -> Statement:
    arrays = (param("ids", ARRAY(Uuid)), param("positions", ARRAY(Text)))
    new = func.unnest(*arrays).table_valued("id", "position", name="new").render_derived()
    owner = guards.numbered()
    values = {"position": new.c.position, "updated_at": owner.c.at, "version": owner.c.seq}
    return Statement(update(projects).where(projects.c.user_id == USER_ID, projects.c.id == new.c.id).values(**values))


place = _place()
"""Set the `positions` of the projects `ids`, in a transaction that has locked the user's row."""


_OF_PROJECT = (
    select(tasks.c.id)
    .where(tasks.c.user_id == USER_ID, tasks.c.project_id == PROJECT_ID)
    .limit(param("most", Integer))
    .subquery("of_project")
)
size = Statement(select(func.count(_OF_PROJECT.c.id)))
"""Return the number of tasks of the project. It counts no further than to `most`."""


@cache
def remove(*, conditional: bool, permanent: bool) -> Statement:
    """Delete the project and its tasks; conditional: only at `versions`.

    Return a row if the project existed. The transaction must have locked the user's row before: a
    statement that waits for a lock does not see the tasks that came into the project meanwhile.
    """
    gone = delete(projects).where(MINE, *_at_versions(conditional)).returning(projects.c.id).cte("gone")
    lost = (
        delete(tasks)
        .where(tasks.c.user_id == USER_ID, tasks.c.project_id == gone.c.id)
        .returning(tasks.c.status)
        .cte("lost")
    )
    return Statement(
        update(users)
        .where(users.c.id == USER_ID, gone.c.id.is_not(None))
        .values(seq=users.c.seq + 1, projects=users.c.projects - 1, **counts_without(lost))
        .returning(users.c.seq, *guards.permanently(permanent))
    )


def _at_versions(conditional: bool) -> Sequence[ColumnElement[bool]]:
    return [projects.c.version == any_(param("versions", ARRAY(BigInteger)))] if conditional else []
