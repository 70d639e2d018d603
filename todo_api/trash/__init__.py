"""Deleted tasks and projects, kept to be restored. A tag of the contract.

`handlers` has a function per operation; `service` has the rules, bound to a user; `statements` has
the SQL, `exported` what an export has. Triggers of the tables of tasks and projects put what is
deleted into the trash.
"""

from todo_api.trash.exported import TrashedObject, dump_trashed
from todo_api.trash.service import TrashService, purge

__all__ = ["TrashService", "TrashedObject", "dump_trashed", "purge"]
