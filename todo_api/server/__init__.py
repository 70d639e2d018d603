"""gunicorn with uvicorn's worker, and the little that is ours.

`master` starts and stops workers; `worker` runs the application; `protocol`, `head` and `cycle`
speak HTTP/1.1. Requests wait at the `gate` for a slot. `connections` and `limits` bound
connections, bytes and time of clients.
"""

from todo_api.server.master import Server
from todo_api.server.worker import STOP_SECONDS

__all__ = ["STOP_SECONDS", "Server"]
