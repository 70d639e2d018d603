"""What was deleted, for as long as it can be brought back.

`service` has the rules; `statements` has the SQL. Triggers of the tables of tasks and projects put
what is deleted into the trash.
"""

from todo_api.trash.service import purge

__all__ = ["purge"]
