"""The PostgreSQL that is brought along, and its backups."""

from todo_api.embedded.server import EmbeddedServer, EmbeddedUnavailable

__all__ = ["EmbeddedServer", "EmbeddedUnavailable"]
