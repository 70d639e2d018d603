"""When a task is due and when it can be started: what is written, checked, and stored.

`dates` converts between members and columns. `local` computes the instants of dates that follow
the user's zone anew, and `recomputation` those of all dates after other zone data.
`filters` loads the filters of lists, `schemas` what clients write.
"""

from todo_api.task_dates.dates import (
    MEMBERS,
    NO_DATES,
    columns_of,
    represented,
    violations,
)
from todo_api.task_dates.filters import FILTERS, load_filter
from todo_api.task_dates.local import LocalDates
from todo_api.task_dates.recomputation import Recomputation, correct
from todo_api.task_dates.schemas import MomentPatchSchema, MomentSchema
from todo_api.task_dates.statements import computed

__all__ = [
    "FILTERS",
    "MEMBERS",
    "NO_DATES",
    "LocalDates",
    "MomentPatchSchema",
    "MomentSchema",
    "Recomputation",
    "columns_of",
    "computed",
    "correct",
    "load_filter",
    "represented",
    "violations",
]
