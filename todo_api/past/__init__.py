"""Earlier values of tasks and projects, computed from their history.

`changes` has the rows of history, read in a transaction that has locked the user's row, and what
they say; `statements` has the SQL.
"""

from todo_api.past.changes import Change, Past, is_kept

__all__ = ["Change", "Past", "is_kept"]
