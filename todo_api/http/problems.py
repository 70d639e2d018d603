"""From errors to problem documents (RFC 9457): the one table, and the one place where they are written."""

import logging
from typing import Any, NamedTuple

import orjson
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from todo_api import errors
from todo_api.http import errors as rejections
from todo_api.observability.request_record import Exchange
from todo_api.schemas import dump_current

MEDIA_TYPE = "application/problem+json"
REALM = "task-api"

_log = logging.getLogger(__name__)


class Kind(NamedTuple):
    """How one class of errors is told."""

    status: int
    code: str
    title: str


KINDS: dict[type[Exception], Kind] = {
    errors.ValidationFailed: Kind(400, "validation_failed", "Validation failed"),
    rejections.MalformedJson: Kind(400, "malformed_json", "Malformed JSON"),
    rejections.BadRequest: Kind(400, "bad_request", "Bad request"),
    errors.InvalidCursor: Kind(400, "invalid_cursor", "Invalid cursor"),
    errors.Unauthorized: Kind(401, "unauthorized", "Unauthorized"),
    errors.InvalidCredentials: Kind(401, "invalid_credentials", "Invalid credentials"),
    errors.InvalidRefreshToken: Kind(401, "invalid_refresh_token", "Invalid refresh token"),
    errors.StaleToken: Kind(401, "fresh_token_required", "Fresh token required"),
    errors.WrongPassword: Kind(403, "wrong_password", "Wrong password"),
    errors.Forbidden: Kind(403, "forbidden", "Forbidden"),
    errors.InsufficientScope: Kind(403, "insufficient_scope", "Insufficient scope"),
    errors.NotFound: Kind(404, "not_found", "Not found"),
    rejections.RouteNotFound: Kind(404, "not_found", "Not found"),
    errors.AccountsDisabled: Kind(404, "accounts_disabled", "Accounts disabled"),
    rejections.MethodNotAllowed: Kind(405, "method_not_allowed", "Method not allowed"),
    rejections.RequestTimeout: Kind(408, "request_timeout", "Request timeout"),
    errors.InvalidTransition: Kind(409, "invalid_transition", "Invalid transition"),
    errors.EmailTaken: Kind(409, "email_taken", "E-mail taken"),
    errors.IdempotencyInProgress: Kind(409, "idempotency_in_progress", "Idempotency in progress"),
    errors.TooManyKeys: Kind(409, "too_many_keys", "Too many keys"),
    errors.PreconditionFailed: Kind(412, "precondition_failed", "Precondition failed"),
    rejections.PayloadTooLarge: Kind(413, "payload_too_large", "Payload too large"),
    rejections.UriTooLong: Kind(414, "uri_too_long", "URI too long"),
    rejections.UnsupportedMediaType: Kind(415, "unsupported_media_type", "Unsupported media type"),
    rejections.UnsupportedContentCoding: Kind(415, "unsupported_media_type", "Unsupported media type"),
    rejections.ExpectationFailed: Kind(417, "expectation_failed", "Expectation failed"),
    errors.IdempotencyKeyReused: Kind(422, "idempotency_key_reused", "Idempotency key reused"),
    rejections.RateLimited: Kind(429, "rate_limited", "Rate limited"),
    rejections.HeaderFieldsTooLarge: Kind(431, "header_fields_too_large", "Header fields too large"),
    rejections.NotImplementedByServer: Kind(501, "not_implemented", "Not implemented"),
    rejections.Overloaded: Kind(503, "overloaded", "Overloaded"),
    errors.Unavailable: Kind(503, "unavailable", "Unavailable"),
    errors.NotReady: Kind(503, "unavailable", "Unavailable"),
}
INTERNAL_ERROR = Kind(500, "internal_error", "Internal error")


def problem(error: Exception, request_id: str) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Status, headers and body that tell of an error. Whatever the table does not have is an internal error, without detail."""
    kind = KINDS.get(type(error), INTERNAL_ERROR)
    document = {
        "type": f"/problems/{kind.code}",
        "title": kind.title,
        "status": kind.status,
        "detail": "Something went wrong on our side." if kind is INTERNAL_ERROR else str(error),
        "code": kind.code,
        "request_id": request_id,
        **_members(error),
    }
    headers = {"content-type": MEDIA_TYPE, "cache-control": "no-store", **_headers(error)}
    body = orjson.dumps(document, option=orjson.OPT_UTC_Z)
    headers["content-length"] = str(len(body))
    return kind.status, [(name.encode(), value.encode("latin-1")) for name, value in headers.items()], body


def _members(error: Exception) -> dict[str, Any]:
    match error:
        case errors.ValidationFailed():
            return {"errors": [violation._asdict() for violation in error.violations]}
        case errors.InvalidTransition():
            return {"from": error.source, "to": error.target, "allowed": error.allowed}
        case errors.PreconditionFailed():
            return {"current": dump_current(error.current)}
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

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

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
                _log.exception("internal error", extra={"request_id": request_id})
            elif isinstance(error, errors.Unavailable):
                _log.warning(
                    "unavailable: %s", type(error.__cause__ or error).__name__, extra={"request_id": request_id}
                )
            status, headers, body = problem(error, request_id)
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": body})
