"""Cross-origin requests (the Fetch standard), by Starlette."""

from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
REQUEST_HEADERS = (
    *("Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match", "X-Request-ID"),
    *("traceparent", "tracestate"),  # W3C Trace Context: what OpenTelemetry sends from a browser
)
REPLY_HEADERS = (
    *("Accept", "Accept-Encoding", "Accept-Patch", "Allow", "Deprecation", "Dry-Run", "ETag", "Idempotency-Replayed"),
    *("Link", "Location", "RateLimit", "RateLimit-Policy", "Retry-After", "Sunset", "WWW-Authenticate", "X-Request-ID"),
)

Fields = list[tuple[bytes, bytes]]


class CorsFields:
    """Header fields that allow the pages of some origins to read a reply, whoever sends it."""

    def __init__(self, origins: Sequence[str]) -> None:
        vary = [(b"vary", b"Origin")]
        exposed = (b"access-control-expose-headers", ", ".join(REPLY_HEADERS).encode())
        self._by_origin: dict[bytes, Fields] = {
            origin: [(b"access-control-allow-origin", origin), exposed, *vary]
            for origin in (text.encode() for text in origins)
        }
        self._others: Fields = vary if origins else []
        self._without_origin = next(iter(self._by_origin.values())) if len(origins) == 1 else self._others

    def of(self, headers: Fields, *, is_whole: bool = True) -> Fields:
        """Return the fields of the reply to a request with these headers.

        A head that is not whole may lack its `Origin`. Then the only allowed origin is assumed, if
        there is one.
        """
        for name, value in headers:
            if name == b"origin":
                return self._by_origin.get(value, self._others)
        return self._others if is_whole else self._without_origin


class Cors(CORSMiddleware):
    """Answers preflights, and adds the fields to the headers that every reply has."""

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        super().__init__(app, allow_origins=origins, allow_methods=METHODS, allow_headers=REQUEST_HEADERS)
        self._fields = CorsFields(origins)

    def preflight_response(self, request_headers: Headers) -> Response:
        """Return the reply. A refusal is 204 without permission, in place of Starlette's 400."""
        response = super().preflight_response(request_headers)
        if response.status_code == 200:  # noqa: PLR2004  # OK
            return response
        headers = {name: value for name, value in response.headers.items() if not name.startswith("content-")}
        return Response(status_code=204, headers=headers)

    async def simple_response(self, scope: Scope, receive: Receive, send: Send, request_headers: Headers) -> None:
        """Pass the request on. Every reply has the headers of the scope's state, also these."""
        scope["state"]["headers"].extend(self._fields.of(scope["headers"]))
        await self.app(scope, receive, send)
