"""The command line, `todo-api`.

`main` parses it. `commands` need no database, `database_commands` do. A command imports what it
needs when it runs: SQLAlchemy, Connexion and gunicorn import slowly.
"""

from todo_api.cli.main import main

__all__ = ["main"]
