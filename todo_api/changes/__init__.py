"""The feed of changes in a user's space. A tag of the contract.

`handlers` has the operation; `service` has the rules, bound to a user; `statements` has the SQL.
`tokens` has the place at which a client goes on, `waits` the requests that wait for a change.

The feed is tasks, projects and tombstones in the order of the writes that changed them last.
"""

from todo_api.changes.service import ChangeService, purge
from todo_api.changes.waits import EVERY, Waits

__all__ = ["EVERY", "ChangeService", "Waits", "purge"]
