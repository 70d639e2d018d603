"""gunicorn's master with uvicorn's worker, set up by our configuration."""
# gunicorn's methods have no annotations:
# mypy: disable-error-code="no-untyped-call"

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
from todo_api.config import Config, cursor_secret, garbage
from todo_api.http import CorsFields
from todo_api.observability import LogConfig, MetricsRecorder, RequestLog
from todo_api.server.connections import Connections
from todo_api.server.gate import AdmissionGate
from todo_api.server.limits import RESERVE, ConnectionLimits
from todo_api.server.protocol import HttpProtocol
from todo_api.server.worker import STOP_SECONDS, Worker
from todo_api.throttling import ClientAddresses, KnownLogins

RESERVED_FILES = 128 + RESERVE
"""Files that a worker needs besides client connections: database, logs, key servers, refusals."""

if TYPE_CHECKING:  # an optional extra
    from todo_api.observability import Traces

_log = logging.getLogger(__name__)


class ServerLog(glogging.Logger):
    """Passes gunicorn's log lines to our log."""

    def setup(self, cfg: Any) -> None:
        """Set up as gunicorn does, but without its handlers and its level."""
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True
        self.error_log.setLevel(logging.NOTSET)


class Master(Arbiter):
    """gunicorn's master, but it stops no worker before its replacement is ready."""

    def __init__(self, app: "Server", on_tick: Callable[[], None]) -> None:
        """Call `on_tick` about once a second; it must not block."""
        self._on_tick = on_tick
        self._has_taken_over = False
        super().__init__(app)

    def reload(self) -> None:
        """Replace all workers on SIGHUP, with the same release and configuration."""
        if any(worker.retiring for worker in self.WORKERS.values()):
            _log.info("workers are being replaced already")
            return
        for worker in self.WORKERS.values():
            worker.retiring = True

    def manage_workers(self) -> None:
        """Start missing workers, and stop those that are replaced."""
        self._on_tick()
        staying = sorted((worker for worker in self.WORKERS.values() if not worker.retiring), key=attrgetter("age"))
        for worker in staying[: max(0, len(staying) - self.num_workers)]:
            worker.retiring = True
        for _ in range(self.num_workers - len(staying)):
            self.spawn_worker()
        if all(worker.ready for worker in self.WORKERS.values() if not worker.retiring):
            self._stop_retired()

    def _stop_retired(self) -> None:
        for number, worker in list(self.WORKERS.items()):
            if worker.retiring and not worker.notified:
                worker.notified = True
                self.kill_worker(number, signal.SIGTERM)
        if self.master_pid and not self._has_taken_over:  # after SIGUSR2: the old master
            self._has_taken_over = True
            _log.info("taking over from process %d, which is stopped now", self.master_pid)
            os.kill(self.master_pid, signal.SIGTERM)


class Server(BaseApplication):
    """gunicorn, set up by our configuration only.

    Each worker makes its own application and pool. `ready` is called once, when connections are
    accepted; `on_tick` about once a second, and must not block.
    """

    def __init__(
        self, config: Config, *, log: LogConfig, ready: Callable[[], None], on_tick: Callable[[], None] = lambda: None
    ) -> None:
        self._config = config
        self._on_tick = on_tick
        self._log = log
        self._ready = ready
        self._counters = new_counters(max(16, 4 * config.workers))
        self._slot = 0
        self._known_logins = KnownLogins()
        super().__init__()

    def load_config(self) -> None:
        """Set gunicorn's settings."""
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
            "pre_fork": self._acquire_slot,
            "child_exit": self._release_slot,
        }
        for name, value in settings.items():
            self.cfg.set(name, value)  # type: ignore[union-attr]  # set by the base class before this is called

    def load(self) -> Any:
        """Return the middlewares of one worker's application, which would only hand on to them."""
        requests = RequestLog(self._log, cursor_secret(self._config))
        recorder = MetricsRecorder(self._counters, self._slot, self._log.writer.dropped)
        observers = Observers(self._counters, recorder, requests, _traces(self._config))
        config = self._config
        connections = _connection_limit(config.client_connections)
        limits = ConnectionLimits(config.head_timeout, config.body_timeout, config.idle_timeout, connections)
        addresses = ClientAddresses(map(ipaddress.ip_network, config.trusted_proxies))
        HttpProtocol.table = Connections(limits, observers.active, addresses.peer)
        app = create_app(config, observers, self._known_logins)
        HttpProtocol.cors = cors = CorsFields(config.cors_origins)
        HttpProtocol.gate = AdmissionGate(app.admission, app.known_subject, cors, observers.active)
        for specification in app.specifications:
            HttpProtocol.gate.add_api(specification)
        garbage.resume(collect=True)
        return app.middleware

    def run(self) -> None:
        """Serve until stopped, then raise SystemExit."""
        garbage.resume()  # what is there is shared with the workers
        Master(self, self._on_tick).run()

    def _acquire_slot(self, _: Any, worker: Any) -> None:
        """Acquire a metrics slot in the master, before the fork, so the worker has it too."""
        self._slot = worker.slot = self._counters.acquire_slot()

    def _release_slot(self, _: Any, worker: Any) -> None:
        self._counters.release_slot(worker.slot)


def _connection_limit(requested: int) -> int:
    """Return how many connections this process may hold, and raise its limit of open files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = requested + RESERVED_FILES if hard == resource.RLIM_INFINITY else min(requested + RESERVED_FILES, hard)
    if resource.RLIM_INFINITY != soft < files:
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    return max(1, files - RESERVED_FILES)


def _traces(config: Config) -> "Traces | None":
    if not config.otel_exporter_otlp_endpoint:
        return None
    from todo_api.observability import Traces  # noqa: PLC0415  # an extra

    return Traces(config.otel_exporter_otlp_endpoint)
