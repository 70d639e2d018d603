"""What the service publishes besides its operations, and the contract as one document.

Each worker makes a page when it is first asked for: few are, and to make them all would take longer than the rest of the start.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from pathlib import Path
from typing import NamedTuple

import orjson
from starlette.types import ASGIApp, Receive, Scope, Send

from todo_api import contract
from todo_api.contract import openapi31
from todo_api.http import MethodNotAllowed, normalize_path
from todo_api.observability import PAGE, RequestRecord

FOREVER = "public, max-age=31536000, immutable"
"""`Cache-Control` of what never changes under its address (RFC 8246)."""


class Page(NamedTuple):
    """One published document, or where it went."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    tag: bytes


Makers = dict[str, Callable[[], Page]]
"""What makes each page, by its path."""


def page(body: bytes, media_type: str, status: int = 200, **headers: str) -> Page:
    """A page with its strong `ETag`, to be asked for again each time it is used."""
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'.encode()
    named = {"content-type": media_type, "cache_control": "no-cache", "content-length": str(len(body))} | headers
    encoded = [(name.replace("_", "-").encode(), value.encode()) for name, value in named.items()]
    return Page(status, [*encoded, (b"etag", tag)], body, tag)


def html(body: bytes, policy: str) -> Page:
    """A page for people, with its Content-Security-Policy. No other page may show it in a frame or reach into it, and where it leads
    does not learn of it."""
    return page(
        body,
        "text/html; charset=utf-8",
        content_security_policy=policy,
        cross_origin_opener_policy="same-origin",
        referrer_policy="no-referrer",
        x_frame_options="DENY",
    )


def published(path: Path) -> Makers:
    """Return the pages of the contract in that file."""
    contract.as_json(path)  # read as it is enforced from now on, whatever is installed later
    return {
        "/api/v1/openapi.yaml": lambda: page(contract.as_yaml(path), "application/yaml"),
        "/api/v1/openapi.json": lambda: page(contract.as_json(path), "application/json"),
        "/api/v1/openapi-3.1.json": lambda: page(
            orjson.dumps(openapi31.convert(contract.load(path))), "application/json"
        ),
    }


def redirect(target: str) -> Page:
    """Return a page that leads to another (RFC 9110, section 15.4.8)."""
    return page(b"", "text/plain", 307, location=target)


class Pages:
    """Answers for the published pages, and hands every other request on."""

    def __init__(self, app: ASGIApp, pages: Makers, count: Callable[[Scope], Awaitable[None]] | None = None) -> None:
        """`count` counts a request for its address, and raises where there were too many."""
        self._app = app
        self._count = count
        self._makers = {path.encode(): make for path, make in pages.items()}
        self._made: dict[bytes, Page] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The page; 304 where the caller has it."""
        path = normalize_path(scope["raw_path"]) if scope["type"] == "http" else b""
        make = self._makers.get(path)
        if make is None:
            await self._app(scope, receive, send)
            return
        scope["state"]["shared"] = True
        record: RequestRecord = scope["state"]["record"]
        record.operation, record.route = PAGE, path.decode()
        if self._count is not None:
            await self._count(scope)
        found = self._made.get(path)
        if found is None:
            found = self._made[path] = await asyncio.to_thread(make)
        status, headers, body, tag = found
        if scope["method"] == "OPTIONS":
            status, headers, body = 204, [(b"allow", b"GET, HEAD, OPTIONS")], b""
        elif scope["method"] not in ("GET", "HEAD"):
            raise MethodNotAllowed("GET, HEAD, OPTIONS")
        elif status == HTTPStatus.OK and any(
            tag in value or value == b"*" for name, value in scope["headers"] if name == b"if-none-match"
        ):
            status, body = 304, b""
            headers = [(name, value) for name, value in headers if name not in (b"content-length", b"content-type")]
        # The list is the page's own, and who sends it on may add to it.
        await send({"type": "http.response.start", "status": status, "headers": [*headers]})
        await send({"type": "http.response.body", "body": body})
