"""What becomes of the database that the service is given, before requests reach it. It knows the tables.

`checks` refuses a database that the service cannot work with, and names the way out.
`migrations` brings its schema to the revision that this release needs.
`readiness` looks at it as the roles that serve.
`epochs` marks a restored database as new.
"""

from todo_api.provisioning import epochs, migrations, readiness
from todo_api.provisioning.checks import DatabaseUnfitError
from todo_api.provisioning.migrations import ONE_AT_A_TIME, engine

__all__ = ["ONE_AT_A_TIME", "DatabaseUnfitError", "engine", "epochs", "migrations", "readiness"]
