"""SQL of labels in every task that has them.

The keys of a list are found by one look at the index for each, the spelling used first likewise.
"""

from functools import cache

from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    Text,
    Uuid,
    and_,
    any_,
    cast,
    collate,
    delete,
    exists,
    func,
    literal_column,
    or_,
    select,
    true,
    union_all,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, aggregate_order_by, insert

from todo_api import guards
from todo_api.database import Statement, param
from todo_api.lists import OPEN, is_status
from todo_api.models import task_labels, tasks, users
from todo_api.task_labels import label_keys

USER_ID = param("user_id", Text)
_OLD, _NEW, _NAME = (param(name, Text) for name in ("old_key", "new_key", "name"))
_MINE = task_labels.c.user_id == USER_ID


def _list() -> Statement:
    """Return (epoch, seq, name, open tasks) per label; none if `known` has the user's `epoch-seq`.

    A user without labels has one row of nulls, an unknown one has none.
    """
    owner = (
        select(users.c.epoch, users.c.seq, guards.is_unknown().label("is_unknown"))
        .where(users.c.id == USER_ID)
        .cte("owner")
    )
    keys = label_keys(select(owner.c.is_unknown).scalar_subquery())
    first = (
        select(task_labels.c.name)
        .where(_MINE, task_labels.c.label_key == keys.c.label_key)
        .order_by(task_labels.c.version, task_labels.c.task_id)
        .limit(1)
        .correlate(keys)
        .scalar_subquery()
    )
    # An array, which PostgreSQL looks up in one pass of an index; in a join, perhaps one by one.
    open_ids = select(tasks.c.id).where(
        tasks.c.user_id == USER_ID, or_(*map(is_status, OPEN)), select(owner.c.is_unknown).scalar_subquery()
    )
    is_open = task_labels.c.task_id == any_(func.array(open_ids.scalar_subquery(), type_=ARRAY(Uuid)))
    counted = (
        select(task_labels.c.label_key, func.count().label("open_tasks"))
        .where(_MINE, is_open)
        .group_by(task_labels.c.label_key)
        .subquery("counted")
    )
    labels = (
        select(keys.c.label_key, first.label("name"), func.coalesce(counted.c.open_tasks, 0).label("open_tasks"))
        .select_from(keys.outerjoin(counted, counted.c.label_key == keys.c.label_key))
        .where(keys.c.label_key.is_not(None))
        .subquery("labels")
    )
    return Statement(
        select(owner.c.epoch, owner.c.seq, labels.c.name, labels.c.open_tasks)
        .select_from(owner.outerjoin(labels, true()))
        .order_by(labels.c.label_key)
    )


list_ = _list()


@cache
def lock(*, by_key: bool) -> Statement:
    """Lock the user's row and the caller's key; return the user's last number."""
    return Statement(select(guards.locked(key=by_key, columns=[users.c.seq]).c.seq))


def _known() -> Statement:
    wanted = func.unnest(param("keys", ARRAY(Text))).table_valued("key", name="wanted").render_derived()
    of_key = select(task_labels.c.task_id).where(_MINE, task_labels.c.label_key == wanted.c.key).correlate(wanted)
    of_key = of_key.limit(param("most", Integer))
    found = select(func.count().label("tasks")).select_from(of_key.subquery("of_key")).lateral("found")
    return Statement(select(wanted.c.key, found.c.tasks).where(found.c.tasks > literal_column("0")))


known = _known()
"""Return those of the `keys` that are labels of the user, each with the number of its tasks.

It counts no further than to `most`.
"""


def _rewrite(changed: Select[tuple[object]], others: ColumnElement[bool], *, renamed: bool) -> Statement:
    """Take the user's next number, write the rows of the tasks `changed`, and their labels anew.

    A task keeps its `others`. Return the number, and how many tasks there are; nothing if none are.
    The transaction must have locked the user's row before.
    """
    found = changed.cte("changed")
    owner = guards.numbered(exists(select(found.c.task_id)))
    gone = delete(task_labels).where(_MINE, task_labels.c.label_key == _OLD)
    kept = select(task_labels.c.task_id, task_labels.c.label_key, task_labels.c.name)
    kept = kept.where(_MINE, task_labels.c.task_id == found.c.task_id, others)
    writes = [gone.where(_NEW != _OLD).cte("gone") if renamed else gone.cte("gone")]
    if renamed:
        values = select(USER_ID, found.c.task_id, _NEW, _NAME, owner.c.seq).select_from(found.join(owner, true()))
        made = insert(task_labels).from_select([each.name for each in task_labels.c], values)
        keys = [task_labels.c.user_id, task_labels.c.task_id, task_labels.c.label_key]
        new = {"name": made.excluded.name, "version": made.excluded.version}
        writes.append(made.on_conflict_do_update(index_elements=keys, set_=new).cte("made"))
        rows = union_all(kept, select(found.c.task_id, _NEW, _NAME)).subquery("kept")
    else:
        rows = kept.subquery("kept")
    quoted = cast(func.to_json(cast(rows.c.name, Text)), Text)
    listed = func.string_agg(
        quoted, aggregate_order_by(literal_column("','"), collate(rows.c.label_key, "C")), type_=Text
    )
    text = literal_column("'['", Text) + listed + literal_column("']'", Text)
    # Grouped, and not looked up for each task: PostgreSQL may not know how many there are.
    lists = select(rows.c.task_id, text.label("text")).group_by(rows.c.task_id).subquery("lists")
    joined = found.outerjoin(lists, lists.c.task_id == found.c.task_id)
    new_lists = select(found.c.task_id, lists.c.text).select_from(joined).cte("new_lists")
    written = (
        update(tasks)
        .where(tasks.c.user_id == USER_ID, tasks.c.id == new_lists.c.task_id)
        .values(labels=new_lists.c.text, version=owner.c.seq, updated_at=owner.c.at)
        .returning(tasks.c.id)
        .cte("written")
    )
    count = select(func.count()).select_from(written).scalar_subquery()
    return Statement(select(owner.c.seq, count).add_cte(*writes))


rename = _rewrite(
    select(task_labels.c.task_id)
    .where(_MINE, or_(task_labels.c.label_key == _OLD, task_labels.c.label_key == _NEW))
    .where(or_(task_labels.c.label_key != _NEW, task_labels.c.name != _NAME))
    .distinct(),
    and_(task_labels.c.label_key != _OLD, task_labels.c.label_key != _NEW),
    renamed=True,
)
"""Give what has `old_key` or `new_key` the label `new_key`, spelled as `name`, where it has not."""

remove = _rewrite(
    select(task_labels.c.task_id).where(_MINE, task_labels.c.label_key == _OLD),
    task_labels.c.label_key != _OLD,
    renamed=False,
)
"""Take the label `old_key` off every task."""
