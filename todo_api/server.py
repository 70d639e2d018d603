"""Serving: gunicorn with its ASGI worker, told by our configuration."""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gunicorn import glogging
from gunicorn.app.base import BaseApplication

from todo_api.app import Watch, create_app, new_memory
from todo_api.auth.keys import cursor_secret
from todo_api.config import Config
from todo_api.logs import Logging, RequestLog
from todo_api.metrics import Recorder
from todo_api.protocol import Protocol, Worker

if TYPE_CHECKING:  # an extra, which need not be there
    from todo_api.traces import Traces


class ServerLog(glogging.Logger):
    """gunicorn's own lines, handed on to where all others go."""

    def setup(self, cfg: Any) -> None:
        """As gunicorn's, without its handlers and with the level that holds for libraries."""
        super().setup(cfg)  # type: ignore[no-untyped-call]  # gunicorn's
        self.error_log.handlers.clear()
        self.error_log.propagate = True
        self.error_log.setLevel(logging.getLogger().level)


class Server(BaseApplication):
    """gunicorn, told by our configuration and by nothing else. Each worker makes its own application, and so its own pool."""

    def __init__(self, config: Config, *, log: Logging, ready: Callable[[], None]) -> None:
        self._config = config
        self._log = log
        self._ready = ready
        self._memory = new_memory(max(16, 4 * config.workers))
        self._slot = 0
        super().__init__()  # type: ignore[no-untyped-call]  # gunicorn's

    def load_config(self) -> None:
        """Sets gunicorn's settings. `asgi_lifespan` makes a contract that does not fit its handlers fail at start."""
        host = f"[{self._config.host}]" if ":" in self._config.host else self._config.host
        settings = {
            "bind": [f"{host}:{self._config.port}"],
            "workers": self._config.workers,
            "worker_class": Worker,
            "asgi_lifespan": "on",
            "graceful_timeout": 8,
            "keepalive": 75,
            "limit_request_field_size": 17 * 1024,  # the longest token, and the rest of its field
            "limit_request_fields": 64,
            "logger_class": ServerLog,
            "errorlog": "-",
            "accesslog": None,
            "proc_name": "todo-api",
            "control_socket_disable": True,
            "when_ready": lambda _: self._ready(),
            "pre_fork": self._give_slot,
            "child_exit": self._take_slot,
        }
        for name, value in settings.items():
            self.cfg.set(name, value)  # type: ignore[union-attr]  # set by the base class before this is called

    def load(self) -> Any:
        """The application of one worker."""
        requests = RequestLog(self._log, cursor_secret(self._config))
        recorder = Recorder(self._memory, self._slot, self._log.sink.dropped)
        watch = Watch(self._memory, recorder, requests, _traces(self._config))
        Protocol.watchers = watch.watchers
        return create_app(self._config, watch)

    def _give_slot(self, _: Any, worker: Any) -> None:
        """In the master, before it forks: the worker finds its slot where it was."""
        self._slot = worker.slot = self._memory.take()

    def _take_slot(self, _: Any, worker: Any) -> None:
        self._memory.give_back(worker.slot)


def _traces(config: Config) -> "Traces | None":
    if not config.otel_exporter_otlp_endpoint:
        return None
    from todo_api.traces import Traces  # noqa: PLC0415  # an extra

    return Traces(config.otel_exporter_otlp_endpoint)


def serve(config: Config, log: Logging, ready: Callable[[], None]) -> None:
    """Serves until the process is told to stop; `ready` is called once, when connections are taken."""
    Server(config, log=log, ready=ready).run()  # type: ignore[no-untyped-call]  # gunicorn's
