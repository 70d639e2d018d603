"""From ASGI to Flask with one hand-over between threads, and from Flask to the handlers without building decorators anew.

Takes the place of a2wsgi, which hands each request over several times, and of Connexion's FlaskDecorator, which is built for each request.
"""

import inspect
import io
import sys
from collections.abc import Callable, Iterable
from typing import Any

import flask
import orjson
from connexion.apps.flask import FlaskASGIApp, FlaskOperation
from connexion.middleware.abstract import SpecMiddleware
from connexion.spec import Specification
from starlette.types import Receive, Scope, Send

from todo_api.pipeline.threads import Threads
from todo_api.pipeline.validation import ARGUMENTS, USER

Reply = tuple[Any, int, dict[str, str]]
"""What a handler returns: the body (None for none), the status code, and headers."""

_ENVIRON_ARGUMENTS = "task_api.arguments"
_ENVIRON_USER = "task_api.user"
_Headers = list[tuple[bytes, bytes]]


class Bridge(SpecMiddleware):
    """Runs the Flask application in a pool of threads: a request of the pipeline is a call of its handler there."""

    def __init__(self, app: FlaskASGIApp, *, threads: int) -> None:
        self._flask = app.app
        self._threads = Threads(self._run, threads)

    def add_api(self, specification: Specification, **_: Any) -> None:
        """Puts a compiled view in the place of each view that Connexion has given Flask."""
        for endpoint, view in self._flask.view_functions.items():
            if isinstance(view, FlaskOperation):
                self._flask.view_functions[endpoint] = _view(view.__wrapped__)  # type: ignore[attr-defined]  # set by functools.update_wrapper

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers the request."""
        status, headers, body = await self._threads.run(_environ(scope))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _run(self, environ: dict[str, Any]) -> tuple[int, _Headers, bytes]:
        started: list[tuple[int, _Headers]] = []

        def start_response(status: str, headers: list[tuple[str, str]], _: Any = None, /) -> Callable[[bytes], object]:
            encoded = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
            started.append((int(status[:3]), encoded))
            return _no_write

        chunks: Iterable[bytes] = self._flask.wsgi_app(environ, start_response)
        body = b"".join(chunks)
        (status, headers) = started[-1]
        return status, headers, body


def _no_write(_: bytes) -> None:
    """The `write` of PEP 3333, which Flask does not use."""
    raise NotImplementedError


def _environ(scope: Scope) -> dict[str, Any]:
    """The WSGI environment (PEP 3333). The path stays as it was sent: routing has matched it, and Flask shall see the same segments."""
    host, port = scope.get("server") or ("localhost", 80)
    extensions = scope["extensions"]
    environ: dict[str, Any] = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": scope["raw_path"].decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_NAME": host,
        "SERVER_PORT": str(port),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.get("scheme", "http"),
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        _ENVIRON_ARGUMENTS: extensions[ARGUMENTS],
        _ENVIRON_USER: extensions.get("connexion_context", {}).get(USER),
    }
    for name, value in scope["headers"]:
        environ["HTTP_" + name.decode("latin-1").upper().replace("-", "_")] = value.decode("latin-1")
    return environ


def _view(handler: Callable[..., Reply]) -> Callable[..., flask.Response]:
    wants_user = USER in inspect.signature(handler).parameters

    def view(**_: str) -> flask.Response:
        arguments = flask.request.environ[_ENVIRON_ARGUMENTS]
        if wants_user:
            arguments[USER] = flask.request.environ[_ENVIRON_USER]
        body, status, headers = handler(**arguments)
        if body is None:
            response = flask.Response(status=status, headers=headers)
            del response.headers["Content-Type"]
            return response
        return flask.Response(
            orjson.dumps(body, option=orjson.OPT_UTC_Z), status, headers, content_type="application/json"
        )

    return view
