"""Errors of HTTP: the service refuses the request before a handler runs."""

from typing import ClassVar

from todo_api.errors import TaskApiError


class RouteNotFound(TaskApiError):
    """No resource has this path."""

    detail = "There is nothing at this address."


class MethodNotAllowed(TaskApiError):
    """The resource does not support the method; `allowed` lists its methods (RFC 9110, 15.5.6)."""

    detail = "This resource does not support this method. Allow lists the methods that it supports."

    def __init__(self, allowed: str) -> None:
        super().__init__()
        self.allowed = allowed


class MalformedJson(TaskApiError):
    """The body is not JSON in UTF-8 (RFC 8259), or not interoperable JSON (RFC 7493)."""


class PayloadTooLarge(TaskApiError):
    """The body exceeds the size limit."""


class UnsupportedMediaType(TaskApiError):
    """The body's media type is not accepted; `headers` name those that are (RFC 9110, 12.5.1)."""

    def __init__(self, accepted: tuple[str, ...], *, is_patch: bool) -> None:
        super().__init__(f"Send the body as {' or '.join(accepted)} in UTF-8, with exactly one Content-Type.")
        self.headers = {"accept-patch" if is_patch else "accept": ", ".join(accepted)}


class UnsupportedContentCoding(TaskApiError):
    """The body has a content coding; `headers` say that none is accepted (RFC 9110, 12.5.3)."""

    detail = "Send the body without Content-Encoding. A compressed body is not accepted."
    headers: ClassVar = {"accept-encoding": "identity"}


class ExpectationFailed(TaskApiError):
    """The request expects something other than 100-continue (RFC 9110, section 10.1.1)."""

    detail = "Expect must be 100-continue. Leave out everything else."


class RateLimited(TaskApiError):
    """The client has sent too many requests; `retry_after` is in seconds."""

    detail = "Too many requests. Retry-After says how many seconds to wait."

    def __init__(self, retry_after: int, detail: str | None = None) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class RequestTimeout(TaskApiError):
    """The head or body of the request did not arrive in time (RFC 9110, section 15.5.9)."""

    detail = "The request did not arrive in time."


class HeaderFieldsTooLarge(TaskApiError):
    """The header section exceeds the size limit."""

    detail = "The header fields are too large."


class UriTooLong(TaskApiError):
    """The request line exceeds the size limit."""

    detail = "The request line is too long."


class BadRequest(TaskApiError):
    """The request is not well-formed HTTP."""

    detail = "The request is not well-formed HTTP."


class NotImplementedByServer(TaskApiError):
    """The server does not support the method or the transfer coding (RFC 9112, 3 and 6.1)."""

    detail = "This method or transfer coding is not supported."
