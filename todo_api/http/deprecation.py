"""Tells the callers of an operation that it will go: `Deprecation` (RFC 9745), `Sunset` (RFC 8594), and where to read more.

The contract says so with `deprecated: true`, `x-deprecated-at`, and, once it is decided, `x-sunset`; `externalDocs` is where to read more.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

from starlette.types import Receive, Scope, Send

App = Callable[[Scope, Receive, Send], Awaitable[None]]


class Deprecated:
    """A deprecated operation. Every reply that is made further in says so, problems too."""

    def __init__(self, app: App, headers: list[tuple[bytes, bytes]]) -> None:
        self._app = app
        self._headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hands the request on, with the headers for its reply."""
        scope["state"]["headers"] += self._headers
        await self._app(scope, receive, send)


def announced(app: App, operation: dict[str, Any]) -> App:
    """The same app for an operation that stays, and one that announces the end of an operation that the contract calls deprecated.

    Raises ValueError where the contract does not say since when, or has the end before that.
    """
    if not operation.get("deprecated"):
        return app
    return Deprecated(app, _headers(operation))


def _headers(operation: dict[str, Any]) -> list[tuple[bytes, bytes]]:
    name = operation["operationId"]
    since = _time(operation, "x-deprecated-at")
    if since is None:
        raise ValueError(f"{name}: a deprecated operation needs x-deprecated-at")
    headers = [(b"deprecation", b"@%d" % since.timestamp())]
    until = _time(operation, "x-sunset")
    if until is not None:
        if until < since:
            raise ValueError(f"{name}: x-sunset is earlier than x-deprecated-at")
        headers.append((b"sunset", format_datetime(until, usegmt=True).encode()))
    if "externalDocs" in operation:
        headers.append((b"link", f'<{operation["externalDocs"]["url"]}>; rel="deprecation"; type="text/html"'.encode()))
    return headers


def _time(operation: dict[str, Any], name: str) -> datetime | None:
    text = operation.get(name)
    if text is None:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{operation['operationId']}: {name} must be a string such as '2027-01-31T00:00:00Z'"
        ) from error
