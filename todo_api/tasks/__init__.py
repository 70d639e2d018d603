"""Tasks: create, find, change, complete and delete them. A tag of the contract.

`handlers` has a function per operation; `service` has the rules, bound to a user; `statements` has
the SQL. `schemas` converts bodies and query parameters, `transitions` defines the changes of
status.
"""

from todo_api.lists import CursorSigner
from todo_api.task_rows import Task
from todo_api.tasks.schemas import dump_task, load_task_input, load_task_patch
from todo_api.tasks.service import TaskService, stored_members

__all__ = [
    "CursorSigner",
    "Task",
    "TaskService",
    "dump_task",
    "load_task_input",
    "load_task_patch",
    "stored_members",
]
