"""The embedded PostgreSQL, for a first start without a database.

`server` starts and stops it in the data folder; `os_user` runs it as a system user if the service
is root; `backup` backs up and restores its data.
"""

from todo_api.embedded import backup
from todo_api.embedded.server import EmbeddedServer, EmbeddedUnavailable

__all__ = ["EmbeddedServer", "EmbeddedUnavailable", "backup"]
