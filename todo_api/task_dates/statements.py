"""SQL of dates that are in no zone of their own: they follow the user's zone."""

from sqlalchemy import ColumnElement, Date, Text, Time, column, func, select, update
from sqlalchemy.dialects.postgresql import ARRAY

from todo_api.database import Statement, param
from todo_api.models import tasks

USER_ID = param("user_id", Text)


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
    return Statement(update(tasks).where(*_local(name), *is_it).values({at: new.c.at}))


local_moments = {
    name: Statement(select(tasks.c[f"{name}_date"], tasks.c[f"{name}_time"]).where(*_local(name)).distinct())
    for name in ("due", "start")
}
"""Read the dates and times that are in no zone of their own, each once."""

recompute = {name: _recompute(name) for name in ("due", "start")}
"""Set the instants of `dates` and `times`. No version changes: the tasks say the same as before."""
