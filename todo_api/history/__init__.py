"""The history of a user's tasks and projects: what changed, and who did it. A tag of the contract.

`handlers` has the operations; `service` has the rules, bound to a user; `statements` has the SQL.
`entries` has what is read, and the place at which a page ends.

Triggers of the database write the history: decision 15.
"""

from todo_api.history.entries import Entry, dump_entry
from todo_api.history.service import HistoryService, purge

__all__ = ["Entry", "HistoryService", "dump_entry", "purge"]
