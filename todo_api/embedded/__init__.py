"""The PostgreSQL that is brought along, for a first start without any database.

`server` starts and stops it in the data folder; `os_user` runs it as a system user where the service runs as root.
`backup` writes its data to a file, and restores it.
"""

from todo_api.embedded import backup
from todo_api.embedded.server import EmbeddedServer, EmbeddedUnavailable

__all__ = ["EmbeddedServer", "EmbeddedUnavailable", "backup"]
