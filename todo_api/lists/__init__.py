"""Lists of tasks: what they are filtered and sorted by, and where a page goes on.

`filters` has what a client asks for, `clock` the moment and the zone for filters by dates.
`conditions` has the SQL of each filter, `sorts` that of each order, with the index that it is read
from, and `rest` how much of a page is left for what comes last. `cursors` signs the place after a
page, and `pages` has what is asked for and what was read.
"""

from todo_api.lists.clock import Clock, now
from todo_api.lists.conditions import SEARCH_SETTINGS, found_tasks, is_status
from todo_api.lists.cursors import CursorSigner, DueKey, Key, Position
from todo_api.lists.filters import OPEN, DateFilter, TaskFilter
from todo_api.lists.pages import MAX_PAGE, Asked, Known, Place, TaskPage, cursor_after, read_cursor, zone_of
from todo_api.lists.rest import limit_of_rest
from todo_api.lists.sorts import SORTS, Sort

__all__ = [
    "MAX_PAGE",
    "OPEN",
    "SEARCH_SETTINGS",
    "SORTS",
    "Asked",
    "Clock",
    "CursorSigner",
    "DateFilter",
    "DueKey",
    "Key",
    "Known",
    "Place",
    "Position",
    "Sort",
    "TaskFilter",
    "TaskPage",
    "cursor_after",
    "found_tasks",
    "is_status",
    "limit_of_rest",
    "now",
    "read_cursor",
    "zone_of",
]
