"""Lists of tasks: what they are filtered and sorted by, and where a page goes on.

`filters` has what a client asks for. `conditions` has the SQL of each filter, `sorts` that of each
order, with the index that it is read from. `cursors` signs the place after a page.
"""

from todo_api.lists.conditions import found_tasks, is_status
from todo_api.lists.cursors import CursorSigner, Key
from todo_api.lists.filters import TaskFilter
from todo_api.lists.sorts import SORTS, Sort

__all__ = ["SORTS", "CursorSigner", "Key", "Sort", "TaskFilter", "found_tasks", "is_status"]
