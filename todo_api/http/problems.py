"""From errors to problem documents (RFC 9457): the one table, and the one place where they are written."""

import logging
from collections.abc import Callable
from typing import Any, NamedTuple

import orjson
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from todo_api import errors
from todo_api.contract import problem_text
from todo_api.http import errors as rejections
from todo_api.observability import Exchange

MEDIA_TYPE = "application/problem+json"
REALM = "task-api"

_log = logging.getLogger(__name__)


class Kind(NamedTuple):
    """How one class of errors is told."""

    status: int
    code: str
    title: str


def _kind(code: str) -> Kind:
    """Return a code with its status and title, which `problems.yaml` has. Raise ContractError."""
    text = problem_text(code)
    return Kind(text.status, code, text.title)


KINDS: dict[type[Exception], Kind] = {
    errors.ValidationFailed: _kind("validation_failed"),
    rejections.MalformedJson: _kind("malformed_json"),
    rejections.BadRequest: _kind("bad_request"),
    errors.InvalidCursor: _kind("invalid_cursor"),
    errors.Unauthorized: _kind("unauthorized"),
    errors.InvalidCredentials: _kind("invalid_credentials"),
    errors.InvalidRefreshToken: _kind("invalid_refresh_token"),
    errors.StaleToken: _kind("fresh_token_required"),
    errors.WrongPassword: _kind("wrong_password"),
    errors.Forbidden: _kind("forbidden"),
    errors.InsufficientScope: _kind("insufficient_scope"),
    errors.NotFound: _kind("not_found"),
    rejections.RouteNotFound: _kind("not_found"),
    errors.AccountsDisabled: _kind("accounts_disabled"),
    rejections.MethodNotAllowed: _kind("method_not_allowed"),
    rejections.RequestTimeout: _kind("request_timeout"),
    errors.InvalidTransition: _kind("invalid_transition"),
    errors.EmailTaken: _kind("email_taken"),
    errors.IdempotencyInProgress: _kind("idempotency_in_progress"),
    errors.TooManyKeys: _kind("too_many_keys"),
    errors.PreconditionFailed: _kind("precondition_failed"),
    rejections.PayloadTooLarge: _kind("payload_too_large"),
    rejections.UriTooLong: _kind("uri_too_long"),
    rejections.UnsupportedMediaType: _kind("unsupported_media_type"),
    rejections.UnsupportedContentCoding: _kind("unsupported_media_type"),
    rejections.ExpectationFailed: _kind("expectation_failed"),
    errors.IdempotencyKeyReused: _kind("idempotency_key_reused"),
    rejections.RateLimited: _kind("rate_limited"),
    rejections.HeaderFieldsTooLarge: _kind("header_fields_too_large"),
    rejections.NotImplementedByServer: _kind("not_implemented"),
    rejections.Overloaded: _kind("overloaded"),
    errors.Unavailable: _kind("unavailable"),
    errors.NotReady: _kind("unavailable"),
}
INTERNAL_ERROR = _kind("internal_error")


def problem(
    error: Exception, request_id: str, represent: Callable[[Any], Any] | None = None
) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Status, headers and body that tell of an error. Whatever the table does not have is an internal error, without detail.

    `represent` makes JSON of what an error carries of the product, such as `current`.
    """
    kind = KINDS.get(type(error), INTERNAL_ERROR)
    document = {
        "type": f"/problems/{kind.code}",
        "title": kind.title,
        "status": kind.status,
        "detail": "The service failed to answer. Try again later." if kind is INTERNAL_ERROR else str(error),
        "code": kind.code,
        "request_id": request_id,
        **_members(error),
    }
    headers = {"content-type": MEDIA_TYPE, "cache-control": "no-store", **_headers(error)}
    body = orjson.dumps(document, default=represent, option=orjson.OPT_UTC_Z)
    headers["content-length"] = str(len(body))
    return kind.status, [(name.encode(), value.encode("latin-1")) for name, value in headers.items()], body


def _members(error: Exception) -> dict[str, Any]:
    match error:
        case errors.ValidationFailed():
            return {"errors": [violation._asdict() for violation in error.violations]}
        case errors.InvalidTransition():
            return {"from": error.source, "to": error.target, "allowed": error.allowed}
        case errors.PreconditionFailed():
            return {"current": error.current}
        case errors.NotReady():
            return {"checks": error.checks}
    return {}


def _headers(error: Exception) -> dict[str, str]:
    match error:
        case (
            errors.Unauthorized()
            | errors.InvalidCredentials()
            | errors.InvalidRefreshToken()
            | errors.StaleToken()
            | errors.InsufficientScope()
        ):
            return {"www-authenticate": f'Bearer realm="{REALM}"{_what_lacks(error)}'}
        case errors.PreconditionFailed():
            return {"etag": error.current.tag}
        case rejections.MethodNotAllowed():
            return {"allow": error.allowed}
        case rejections.UnsupportedMediaType() | rejections.UnsupportedContentCoding():
            return error.headers
        case errors.Unavailable() | errors.IdempotencyInProgress() | rejections.RateLimited() | rejections.Overloaded():
            return {"retry-after": str(error.retry_after)}
    return {}


def _what_lacks(error: Exception) -> str:
    """The rest of a challenge (RFC 6750, section 3.1; RFC 9470, section 3)."""
    match error:
        case errors.Unauthorized() if error.token_sent:
            return f', error="invalid_token", error_description="{error}"'
        case errors.StaleToken():
            return f', error="insufficient_user_authentication", error_description="{error}"'
        case errors.InsufficientScope():
            return f', error="insufficient_scope", scope="{error.scope}"'
    return ""


class Problems:
    """Answers whatever is raised further in with its problem document."""

    def __init__(self, app: ASGIApp, represent: Callable[[Any], Any]) -> None:
        """`represent` makes JSON of what an error carries of the product: the pipeline knows no task."""
        self._app = app
        self._represent = represent

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hands the request on, and tells what went wrong with it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def watch(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, watch)
        except Exception as error:
            if started:
                raise
            request_id = scope["state"]["request_id"]
            exchange: Exchange = scope["state"]["exchange"]
            exchange.error, exchange.code = error, KINDS.get(type(error), INTERNAL_ERROR).code
            if type(error) not in KINDS:
                _log.exception("internal error", extra={"request_id": request_id, "operation": exchange.operation})
            elif isinstance(error, errors.Unavailable):
                _log.warning("unavailable: %s", error.__cause__ or str(error), extra={"request_id": request_id})
            status, headers, body = problem(error, request_id, self._represent)
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": body})
