"""Serving: gunicorn's master, uvicorn's worker, and the little of both that is ours."""

from todo_api.server.master import Server, serve
from todo_api.server.worker import STOP_SECONDS

__all__ = ["STOP_SECONDS", "Server", "serve"]
