"""SQL of the labels of tasks."""

from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    Integer,
    Text,
    Uuid,
    all_,
    and_,
    column,
    delete,
    exists,
    func,
    literal,
    literal_column,
    not_,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY, insert

from todo_api.database import Statement, param
from todo_api.models import task_labels

MOST_LABELS = 500
"""Maximum number of labels of a user."""

USER_ID = param("user_id", Text)
_KEYS = param("keys", ARRAY(Text))
_OF_TASK = and_(task_labels.c.user_id == USER_ID, task_labels.c.task_id == param("task_id", Uuid))


def _write() -> Statement:
    new = (
        func.unnest(_KEYS, param("names", ARRAY(Text)))
        .table_valued(column("key", Text), column("name", Text), name="new")
        .render_derived()
    )
    gone = delete(task_labels).where(_OF_TASK, task_labels.c.label_key != all_(_KEYS)).cte("gone")
    version = param("version", BigInteger)
    values = (USER_ID, param("task_id", Uuid), new.c.key, new.c.name, version)
    made = insert(task_labels).from_select([each.name for each in task_labels.c], select(*values))
    written = made.on_conflict_do_update(
        index_elements=[task_labels.c.user_id, task_labels.c.task_id, task_labels.c.label_key],
        set_={"name": made.excluded.name, "version": made.excluded.version},
        where=task_labels.c.name != made.excluded.name,
    ).cte("written")
    used = exists().where(task_labels.c.user_id == USER_ID, task_labels.c.label_key == new.c.key)
    return Statement(select(literal_column("true")).select_from(new).where(not_(used)).limit(1).add_cte(gone, written))


write = _write()
"""Give the task the labels `keys`, spelled as `names`, and no others.

Return a row if one of them was no label of the user before.
"""


def _restore() -> Statement:
    arrays = (param("task_ids", ARRAY(Uuid)), _KEYS, param("names", ARRAY(Text)))
    names = (column("task_id", Uuid), column("key", Text), column("name", Text))
    new = func.unnest(*arrays).table_valued(*names, name="new").render_derived()
    values = select(USER_ID, *new.c, param("version", BigInteger))
    return Statement(insert(task_labels).from_select([each.name for each in task_labels.c], values))


restore = _restore()
"""Give the tasks `task_ids` the labels `keys`, spelled as `names`."""


def label_keys(*conditions: ColumnElement[bool]) -> CTE:
    """Return the keys of the user's labels with their number: one look at the index for each.

    The last row has no key. There is no other unless the conditions hold.
    """
    keys = select(task_labels.c.label_key).where(task_labels.c.user_id == USER_ID)
    keys = keys.order_by(task_labels.c.label_key).limit(1)
    first = select(keys.where(*conditions).scalar_subquery().label("label_key"), literal(1, Integer).label("number"))
    found = first.cte("found", recursive=True)
    following = keys.where(task_labels.c.label_key > found.c.label_key).correlate(found).scalar_subquery()
    return found.union_all(select(following, found.c.number + 1).where(found.c.label_key.is_not(None)))


def _are_too_many() -> Statement:
    found = label_keys()
    return Statement(
        select(found.c.number).where(found.c.label_key.is_not(None), found.c.number > MOST_LABELS).limit(1)
    )


are_too_many = _are_too_many()
"""Return a row if the user has more labels than allowed."""
