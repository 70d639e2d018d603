"""Problem documents (RFC 9457): which error is which problem, and the one place that renders it."""

import logging
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import orjson
from starlette.types import ASGIApp, Receive, Scope, Send
from werkzeug.http import parse_accept_header

from todo_api import errors
from todo_api.contract import problem_text, snake_case
from todo_api.http import errors as http_errors
from todo_api.observability import NONE, PAGE, RequestRecord

MEDIA_TYPE = "application/problem+json"
ToHtml = Callable[[bytes], tuple[list[tuple[bytes, bytes]], bytes]]
"""Return headers and body of a page for a problem document."""

REALM = "task-api"

_log = logging.getLogger(__name__)


class ProblemType(NamedTuple):
    """Status, code and title of one class of errors."""

    status: int
    code: str
    title: str


def _problem_type(code: str) -> ProblemType:
    """Return the problem type of a code, from `problems.yaml`. Raise ContractError."""
    text = problem_text(code)
    return ProblemType(text.status, code, text.title)


_CODES: dict[type[errors.TaskApiError], str] = {
    errors.ChangesConflict: "conflict",
    errors.NotReady: "unavailable",
    errors.StaleToken: "fresh_token_required",
    errors.TooManyWaits: "rate_limited",
    http_errors.NotImplementedByServer: "not_implemented",
    http_errors.RouteNotFound: "not_found",
    http_errors.UnsupportedContentCoding: "unsupported_media_type",
}
"""Codes of the errors whose code is not their name: `NotFound` is `not_found`."""


def _error_classes() -> Iterator[type[errors.TaskApiError]]:
    for each in (*vars(errors).values(), *vars(http_errors).values()):
        if isinstance(each, type) and issubclass(each, errors.TaskApiError) and each is not errors.TaskApiError:
            yield each


PROBLEM_TYPES: dict[type[Exception], ProblemType] = {
    each: _problem_type(_CODES.get(each) or snake_case(each.__name__)) for each in _error_classes()
}
INTERNAL_ERROR = _problem_type("internal_error")

_pages = {"problems": "/problems/"}
"""The path of the pages of problems. It is set once: a process has one service."""


def set_public_path(path: str) -> None:
    """Set the path of the public URL of this process's service, which `type` begins with."""
    _pages["problems"] = f"{path}/problems/"


def render_problem(
    error: Exception, request_id: str, serialize: Callable[[Any], Any] | None = None
) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Return status, headers and body of an error's reply; an unknown error is an internal error.

    `serialize` converts what an error carries of the product, such as `current`, to JSON values.
    """
    problem_type = PROBLEM_TYPES.get(type(error), INTERNAL_ERROR)
    document = {
        "type": _pages["problems"] + problem_type.code,
        "title": problem_type.title,
        "status": problem_type.status,
        "detail": "The service failed to answer. Try again later." if problem_type is INTERNAL_ERROR else str(error),
        "code": problem_type.code,
        "request_id": request_id,
        **(error.members if isinstance(error, errors.TaskApiError) else {}),
    }
    headers = {"content-type": MEDIA_TYPE, "cache-control": "no-store", **_headers(error)}
    body = orjson.dumps(document, default=serialize, option=orjson.OPT_UTC_Z)
    headers["content-length"] = str(len(body))
    return problem_type.status, [(name.encode(), value.encode("latin-1")) for name, value in headers.items()], body


def _headers(error: Exception) -> dict[str, str]:
    match error:
        case (
            errors.Unauthorized()
            | errors.InvalidCredentials()
            | errors.InvalidRefreshToken()
            | errors.StaleToken()
            | errors.InsufficientScope()
        ):
            return {"www-authenticate": f'Bearer realm="{REALM}"{_challenge_parameters(error)}'}
        case errors.PreconditionFailed():
            return {"etag": error.current.tag}
        case http_errors.MethodNotAllowed():
            return {"allow": error.allowed}
        case http_errors.UnsupportedMediaType() | http_errors.UnsupportedContentCoding():
            return error.headers
        case errors.Unavailable() | errors.IdempotencyInProgress() | http_errors.RateLimited() | errors.Overloaded():
            return {"retry-after": str(error.retry_after)}
    return {}


def _challenge_parameters(error: Exception) -> str:
    """Return the parameters of a challenge (RFC 6750, section 3.1; RFC 9470, section 3)."""
    match error:
        case errors.Unauthorized() if error.token_sent:
            return f', error="invalid_token", error_description="{error}"'
        case errors.StaleToken():
            return f', error="insufficient_user_authentication", error_description="{error}"'
        case errors.InsufficientScope():
            return f', error="insufficient_scope", scope="{error.scope}"'
    return ""


class Problems:
    """Answers an error with its problem document."""

    def __init__(self, app: ASGIApp, serialize: Callable[[Any], Any], to_html: ToHtml | None = None) -> None:
        """`serialize` converts what an error carries of the product to JSON values.

        `to_html` renders it for a browser that requested no operation.
        """
        self._app = app
        self._serialize = serialize
        self._to_html = to_html

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and answer what it raises."""
        record: RequestRecord = scope["state"]["record"]
        try:
            await self._app(scope, receive, send)
        except Exception as error:
            if record.replies:
                raise
            request_id = scope["state"]["request_id"]
            record.error, record.code = error, PROBLEM_TYPES.get(type(error), INTERNAL_ERROR).code
            if type(error) not in PROBLEM_TYPES:
                _log.exception("internal error", extra={"request_id": request_id, "operation": record.operation})
            elif isinstance(error, errors.Unavailable):
                _log.warning("unavailable: %s", error.__cause__ or str(error), extra={"request_id": request_id})
            status, headers, body = render_problem(error, request_id, self._serialize)
            if self._to_html and record.operation in {NONE, PAGE} and _accepts_html(scope):
                html_headers, body = self._to_html(body)
                replaced = {name for name, _ in html_headers}
                headers = [*html_headers, *(header for header in headers if header[0] not in replaced)]
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": body})


def _accepts_html(scope: Scope) -> bool:
    """Return whether `Accept` names HTML, as a browser sends it (RFC 9110, section 12.5.1)."""
    accepted = [value.decode("latin-1") for name, value in scope["headers"] if name == b"accept"]
    return any(name.lower() == "text/html" and quality for name, quality in parse_accept_header(",".join(accepted)))
