"""The command line."""

from todo_api.cli.main import main

__all__ = ["main"]
