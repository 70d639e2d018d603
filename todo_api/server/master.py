"""Serving: gunicorn's master with uvicorn's worker, told by our configuration."""
# gunicorn's methods have no annotations:
# mypy: disable-error-code="no-untyped-call"

import gc
import ipaddress
import logging
import os
import resource
import signal
from collections.abc import Callable
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from gunicorn import glogging
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter

from todo_api.app import Observers, create_app, new_counters
from todo_api.config import Config, cursor_secret
from todo_api.observability import LogConfig, MetricsRecorder, RequestLog
from todo_api.server.connections import Connections
from todo_api.server.limits import RESERVE, Limits
from todo_api.server.protocol import Protocol
from todo_api.server.worker import STOP_SECONDS, Worker
from todo_api.throttling import ClientAddresses, KnownLogins

GARBAGE = 20_000
"""New objects after which the youngest are looked through for garbage. Python's 700 are those of a few requests: where hundreds wait,
each look goes through all of them, and twice as many requests were answered in an overload without."""

OWN_FILES = 128 + RESERVE
"""Files of a process that a worker keeps for itself: database connections, logs, key servers, and clients that are refused."""

if TYPE_CHECKING:  # an extra, which need not be there
    from todo_api.observability import Traces

_log = logging.getLogger(__name__)


class ServerLog(glogging.Logger):
    """gunicorn's own lines, handed on to where all others go."""

    def setup(self, cfg: Any) -> None:
        """As gunicorn's, without its handlers and with the level that holds for libraries."""
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True
        self.error_log.setLevel(logging.getLogger().level)


class Master(Arbiter):
    """gunicorn's master, except that no worker is told to stop before others serve in its place."""

    def __init__(self, app: "Server", keep: Callable[[], None]) -> None:
        """`keep` is called every second or so, and must not wait for anything."""
        self._keep = keep
        self._took_over = False
        super().__init__(app)

    def reload(self) -> None:
        """SIGHUP: other workers take the place of all, with the same release and configuration."""
        if any(worker.retires for worker in self.WORKERS.values()):
            _log.info("workers are being replaced already")
            return
        for worker in self.WORKERS.values():
            worker.retires = True

    def manage_workers(self) -> None:
        """Makes workers where some are missing, and tells those to stop whose place is taken."""
        self._keep()
        staying = sorted((worker for worker in self.WORKERS.values() if not worker.retires), key=attrgetter("age"))
        for worker in staying[: max(0, len(staying) - self.num_workers)]:
            worker.retires = True
        for _ in range(self.num_workers - len(staying)):
            self.spawn_worker()
        if all(worker.serves for worker in self.WORKERS.values() if not worker.retires):
            self._dismiss()

    def _dismiss(self) -> None:
        for number, worker in list(self.WORKERS.items()):
            if worker.retires and not worker.told:
                worker.told = True
                self.kill_worker(number, signal.SIGTERM)
        if self.master_pid and not self._took_over:  # after SIGUSR2: the one whose sockets these are
            self._took_over = True
            _log.info("serving in the place of process %d, which is told to stop", self.master_pid)
            os.kill(self.master_pid, signal.SIGTERM)


class Server(BaseApplication):
    """gunicorn, told by our configuration and by nothing else. Each worker makes its own application, and so its own pool."""

    def __init__(
        self, config: Config, *, log: LogConfig, ready: Callable[[], None], keep: Callable[[], None] = lambda: None
    ) -> None:
        self._config = config
        self._keep = keep
        self._log = log
        self._ready = ready
        self._counters = new_counters(max(16, 4 * config.workers))
        self._slot = 0
        self._known_logins = KnownLogins()
        super().__init__()

    def load_config(self) -> None:
        """Sets gunicorn's settings."""
        host = f"[{self._config.host}]" if ":" in self._config.host else self._config.host
        settings = {
            "bind": [f"{host}:{self._config.port}"],
            "workers": self._config.workers,
            "worker_class": Worker,
            "graceful_timeout": STOP_SECONDS,
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
        recorder = MetricsRecorder(self._counters, self._slot, self._log.writer.dropped)
        observers = Observers(self._counters, recorder, requests, _traces(self._config))
        config = self._config
        connections = _connections(config.client_connections)
        limits = Limits(config.head_timeout, config.body_timeout, config.idle_timeout, connections)
        addresses = ClientAddresses(map(ipaddress.ip_network, config.trusted_proxies))
        Protocol.table = Connections(limits, observers.active, addresses.peer)
        app = create_app(config, observers, self._known_logins)
        _keep_for_good()
        return app

    def run(self) -> None:
        """Serves until told to stop, and raises SystemExit then."""
        _keep_for_good()
        Master(self, self._keep).run()

    def _give_slot(self, _: Any, worker: Any) -> None:
        """In the master, before it forks: the worker finds its slot where it was."""
        self._slot = worker.slot = self._counters.acquire_slot()

    def _take_slot(self, _: Any, worker: Any) -> None:
        self._counters.release_slot(worker.slot)


def _keep_for_good() -> None:
    """What is there stays: no look for garbage goes through it, nor writes into the memory that workers share for it."""
    gc.freeze()
    gc.enable()
    gc.set_threshold(GARBAGE)


def _connections(wanted: int) -> int:
    """How many of so many connections this process may hold: it asks the system for the files that they need."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = wanted + OWN_FILES if hard == resource.RLIM_INFINITY else min(wanted + OWN_FILES, hard)
    if resource.RLIM_INFINITY != soft < files:
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    return max(1, files - OWN_FILES)


def _traces(config: Config) -> "Traces | None":
    if not config.otel_exporter_otlp_endpoint:
        return None
    from todo_api.observability import Traces  # noqa: PLC0415  # an extra

    return Traces(config.otel_exporter_otlp_endpoint)


def serve(config: Config, log: LogConfig, ready: Callable[[], None], keep: Callable[[], None] = lambda: None) -> None:
    """Serves until the process is told to stop.

    `ready` is called once, when connections are taken; `keep` every second or so, to see to what the service needs, without waiting for it.
    """
    Server(config, log=log, ready=ready, keep=keep).run()
