"""The command line, `todo-api`.

`main` parses it; `commands` are those that need no database, `database_commands` those that do.
A command imports what it needs when it runs: SQLAlchemy, Connexion and gunicorn take longer than all else of a small one.
"""

from todo_api.cli.main import main

__all__ = ["main"]
