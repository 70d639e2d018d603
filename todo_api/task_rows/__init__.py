"""A task as it is stored and read.

`columns` are those of its row, and those with which statements read it. `task` is the value that a
row becomes.
"""

from todo_api.task_rows.columns import TASK_COLUMNS, as_task
from todo_api.task_rows.task import Task, more_of

__all__ = ["TASK_COLUMNS", "Task", "as_task", "more_of"]
