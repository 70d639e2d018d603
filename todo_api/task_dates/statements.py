"""SQL of the instants of dates: after another zone of the user, and after other data of zones.

Dates that are in no zone of their own follow the user's zone.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    Date,
    Integer,
    Text,
    Time,
    Uuid,
    any_,
    case,
    column,
    func,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY

from todo_api.database import LONG, Statement, param
from todo_api.local_time import RELEASE
from todo_api.models import tasks, users

USER_ID = param("user_id", Text)

STEP = 1000
"""The numbers of two successive versions of zone data differ by this: marks stand between."""

CURRENT = RELEASE * STEP
"""The number of this release's zone data, as `users.zone_data` has it."""


def computed(zone: ColumnElement[Any] | None = None) -> dict[str, ColumnElement[Any]]:
    """Return what a write of dates sets in the user's row: the oldest zone data of all instants.

    So a release with older data that writes beside this one leaves a mark, which
    `Recomputation` finds. With `zone`, dates are written only where it is not null.
    """
    written: ColumnElement[Any] = literal_column(str(CURRENT))
    if zone is not None:
        written = case((zone.is_not(None), written))
    return {"zone_data": func.least(users.c.zone_data, written)}


def _local(name: str) -> list[ColumnElement[bool]]:
    """Return the condition that the date is there and in no zone of its own."""
    return [tasks.c.user_id == USER_ID, tasks.c[f"{name}_date"].is_not(None), tasks.c[f"{name}_zone"].is_(None)]


def _recompute(name: str) -> Statement:
    day, time, at = (tasks.c[f"{name}_{part}"] for part in ("date", "time", "at"))
    arrays = (param("dates", ARRAY(Date)), param("times", ARRAY(Time)), param("instants", ARRAY(at.type)))
    new = (
        func.unnest(*arrays)
        .table_valued(column("date", Date), column("time", Time), column("at", at.type), name="new")
        .render_derived()
    )
    is_it = (day == new.c.date, time.is_not_distinct_from(new.c.time), at.is_distinct_from(new.c.at))
    return Statement(update(tasks).where(*_local(name), *is_it).values({at: new.c.at}), seconds=LONG)


local_moments = {
    name: Statement(select(tasks.c[f"{name}_date"], tasks.c[f"{name}_time"]).where(*_local(name)).distinct())
    for name in ("due", "start")
}
"""Read the dates and times that are in no zone of their own, each once."""

recompute = {name: _recompute(name) for name in ("due", "start")}
"""Set the instants of `dates` and `times`. No version changes: the tasks say the same as before."""

note = Statement(update(users).where(users.c.id == USER_ID, users.c.zone_data.is_not(None)).values(computed()))
"""Note the zone data with which instants of the user were computed, if there are some."""

outdated = Statement(
    select(users.c.id)
    .where(users.c.zone_data < param("current", BigInteger))
    .order_by(users.c.zone_data)
    .limit(param("limit", Integer))
)
"""Read users whose instants were computed with older zone data. For an operator's session."""

_IS_CLAIMED: ColumnElement[bool] = literal_column("current_setting('app.claimed') = 'true'")

lock = Statement(
    select(users.c.time_zone, users.c.zone_data)
    .where(users.c.id == USER_ID, _IS_CLAIMED)
    .with_for_update(key_share=True)
)
"""Lock the user's row, and read the zone and with which zone data instants were computed.

For a transaction that has claimed the work: if another one has, there is no row.
"""

_AFTER, _LIMIT = param("after", Uuid), param("limit", Integer)

_DATED = select(
    tasks.c.id, *(tasks.c[f"{name}_{part}"] for name in ("due", "start") for part in ("date", "time", "zone", "at"))
).where(tasks.c.user_id == USER_ID, or_(tasks.c.due_date.is_not(None), tasks.c.start_date.is_not(None)))

dated = Statement(_DATED.where(tasks.c.id > _AFTER).order_by(tasks.c.id).limit(_LIMIT))
"""Read the dates of the next tasks that have some, by id."""

dated_among = Statement(_DATED.where(tasks.c.id == any_(param("ids", ARRAY(Uuid)))))
"""Read the dates of those of the tasks `ids` that have some."""


def _correct() -> Statement:
    instants = (tasks.c.due_at, tasks.c.start_at)
    columns = [column("id", Uuid), *(column(each.name, each.type) for each in instants)]
    arrays = [param(f"{each.name}s", ARRAY(each.type)) for each in columns]
    new = func.unnest(*arrays).table_valued(*columns, name="new").render_derived()
    values = {each: new.c[each.name] for each in instants}
    return Statement(update(tasks).where(tasks.c.user_id == USER_ID, tasks.c.id == new.c.id).values(values))


correct = _correct()
"""Set the instants of the tasks `ids`. No version changes: the tasks say the same as before."""

finish = Statement(
    update(users)
    .where(users.c.id == USER_ID)
    .values(
        zone_data=param("zone_data", BigInteger),
        seq=users.c.seq + case((param("changed", Boolean), 1), else_=0),
    )
)
"""Set the zone data of a locked user. If an instant `changed`, the tags of lists change as well."""
