"""dry_run: a write is tried, and nothing of it is kept.

`decorator` runs a handler in a transaction and rolls it back. The contract says which operations
have it: a handler without the decorator, or with one too many, stops the start.
"""

from todo_api.dry_runs.decorator import dry_runnable

__all__ = ["dry_runnable"]
