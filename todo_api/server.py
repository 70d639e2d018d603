"""Serving: gunicorn with its ASGI worker, and the problem documents for what gunicorn refuses by itself."""

import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import Any
from uuid import uuid4

from gunicorn.app.base import BaseApplication
from gunicorn.asgi.protocol import ASGIProtocol

from todo_api.app import create_app
from todo_api.config import Config
from todo_api.pipeline.rejections import BadRequest, HeaderFieldsTooLarge, NotImplementedByServer, UriTooLong
from todo_api.problems import problem

_REFUSALS = {400: BadRequest, 414: UriTooLong, 431: HeaderFieldsTooLarge, 501: NotImplementedByServer}


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
            "worker_class": "asgi",
            "asgi_lifespan": "on",
            "graceful_timeout": 10,
            "keepalive": 75,
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
        ASGIProtocol._send_error_response = _refuse  # type: ignore[method-assign]  # see there
        return create_app(self._config)


def serve(config: Config, ready: Callable[[], None]) -> None:
    """Serves until the process is told to stop; `ready` is called once, when connections are taken."""
    Server(config, ready=ready).run()  # type: ignore[no-untyped-call]  # gunicorn's


def _refuse(protocol: Any, status: int, message: str, extra_headers: Any = ()) -> None:
    """Tells what gunicorn refuses before any application sees it as a problem document, without quoting it.

    Stands in for a private method of gunicorn's protocol, since it has no setting for this; a test sends what must be refused.
    """
    request_id = uuid4().hex
    error = _REFUSALS[status]() if status in _REFUSALS else RuntimeError(message)
    told, headers, body = problem(error, request_id)
    headers += [(b"x-request-id", request_id.encode()), (b"connection", b"close")]
    head = b"".join(b"%s: %s\r\n" % header for header in headers)
    reason = HTTPStatus(told).phrase.encode()
    protocol._safe_write(b"HTTP/1.1 %d %s\r\n%s\r\n%s" % (told, reason, head, body))
