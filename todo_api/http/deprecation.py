"""Deprecated operations: `Deprecation` (RFC 9745), `Sunset` (RFC 8594) and a link to read more.

The contract has `deprecated: true`, `x-deprecated-at`, `externalDocs` and, once the date is
decided, `x-sunset`.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

from starlette.types import Receive, Scope, Send

App = Callable[[Scope, Receive, Send], Awaitable[None]]


def announce_deprecation(app: App, operation: dict[str, Any]) -> App:
    """Return the app; if the operation is deprecated, one whose every reply has the headers.

    Problem documents have them too. Raise ValueError for bad dates.
    """
    if not operation.get("deprecated"):
        return app
    headers = _headers(operation)

    async def announced(scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"]["headers"] += headers
        await app(scope, receive, send)

    return announced


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
