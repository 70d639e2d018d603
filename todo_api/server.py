"""Serving: gunicorn with its ASGI worker, told by our configuration."""

import logging
from collections.abc import Callable
from typing import Any

from gunicorn.app.base import BaseApplication

from todo_api.app import create_app
from todo_api.config import Config
from todo_api.protocol import Worker


class Server(BaseApplication):
    """gunicorn, told by our configuration and by nothing else. Each worker makes its own application, and so its own pool."""

    def __init__(self, config: Config, *, ready: Callable[[], None]) -> None:
        self._config = config
        self._ready = ready
        super().__init__()  # type: ignore[no-untyped-call]  # gunicorn's

    def load_config(self) -> None:
        """Sets gunicorn's settings. `asgi_lifespan` makes a contract that does not fit its handlers fail at start."""
        host = f"[{self._config.host}]" if ":" in self._config.host else self._config.host
        settings = {
            "bind": [f"{host}:{self._config.port}"],
            "workers": self._config.web_concurrency,
            "worker_class": Worker,
            "asgi_lifespan": "on",
            "graceful_timeout": 8,
            "keepalive": 75,
            "limit_request_field_size": 17 * 1024,  # the longest token, and the rest of its field
            "limit_request_fields": 64,
            "loglevel": self._config.log_level.lower(),
            "errorlog": "-",
            "accesslog": None,
            "proc_name": "todo-api",
            "control_socket_disable": True,
            "when_ready": lambda _: self._ready(),
        }
        for name, value in settings.items():
            self.cfg.set(name, value)  # type: ignore[union-attr]  # set by the base class before this is called

    def load(self) -> Any:
        """The application of one worker."""
        logging.basicConfig(level=self._config.log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
        return create_app(self._config)


def serve(config: Config, ready: Callable[[], None]) -> None:
    """Serves until the process is told to stop; `ready` is called once, when connections are taken."""
    Server(config, ready=ready).run()  # type: ignore[no-untyped-call]  # gunicorn's
