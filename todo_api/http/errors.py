"""What is refused before any business is done, because of how the request was made."""

from typing import ClassVar

from todo_api.errors import TaskApiError


class RouteNotFound(TaskApiError):
    """No resource has this path."""

    detail = "There is nothing at this address."


class MethodNotAllowed(TaskApiError):
    """The resource has no such method; `allowed` is all that it has (RFC 9110, section 15.5.6)."""

    detail = "This resource does not support this method. Allow lists the methods that it supports."

    def __init__(self, allowed: str) -> None:
        super().__init__()
        self.allowed = allowed


class MalformedJson(TaskApiError):
    """The body is no JSON text in UTF-8 (RFC 8259), or not an interoperable one (RFC 7493)."""


class PayloadTooLarge(TaskApiError):
    """The body is larger than any body may be."""


class UnsupportedMediaType(TaskApiError):
    """The body is not declared as what the operation takes; `headers` say what that is (RFC 9110, 12.5.1; RFC 5789, 2.2)."""

    def __init__(self, accepted: tuple[str, ...], *, is_patch: bool) -> None:
        super().__init__(f"Send the body as {' or '.join(accepted)} in UTF-8, with exactly one Content-Type.")
        self.headers = {"accept-patch" if is_patch else "accept": ", ".join(accepted)}


class UnsupportedContentCoding(TaskApiError):
    """The body is compressed, or otherwise encoded; `headers` say that it must not be (RFC 9110, section 12.5.3)."""

    detail = "Send the body without Content-Encoding. A compressed body is not accepted."
    headers: ClassVar = {"accept-encoding": "identity"}


class ExpectationFailed(TaskApiError):
    """The request expects something else than 100-continue (RFC 9110, section 10.1.1)."""

    detail = "Expect must be 100-continue. Leave out everything else."


class RateLimited(TaskApiError):
    """Too many requests; `retry_after` is in seconds."""

    detail = "Too many requests. Retry-After says how many seconds to wait."

    def __init__(self, retry_after: int, detail: str | None = None) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class RequestTimeout(TaskApiError):
    """The head or the body of the request took too long to arrive (RFC 9110, section 15.5.9)."""

    detail = "The request did not arrive in time."


class Overloaded(TaskApiError):
    """More is asked than can be answered in time: this request was not begun, so that others are. `retry_after` is in seconds."""

    detail = "The service has too much to do. Nothing was done. Try again later."
    retry_after = 1


class HeaderFieldsTooLarge(TaskApiError):
    """The header section is larger than any may be."""

    detail = "The header fields are too large."


class UriTooLong(TaskApiError):
    """The request line is longer than any may be."""

    detail = "The request line is too long."


class BadRequest(TaskApiError):
    """What arrived is not HTTP as the RFCs have it."""

    detail = "The request is not well-formed HTTP."


class NotImplementedByServer(TaskApiError):
    """A transfer coding that the server does not have (RFC 9112, section 6.1)."""

    detail = "This transfer coding is not supported."
