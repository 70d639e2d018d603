"""Provisioning of the given database, before requests reach it. It knows the tables.

`checks` refuses an unusable database and names a remedy. `migrations` migrates its schema.
`readiness` checks it as the serving roles. `epochs` invalidates what clients know of a restored
one.
"""

from todo_api.provisioning import epochs, migrations, readiness
from todo_api.provisioning.checks import DatabaseUnfitError
from todo_api.provisioning.migrations import engine

__all__ = ["DatabaseUnfitError", "engine", "epochs", "migrations", "readiness"]
