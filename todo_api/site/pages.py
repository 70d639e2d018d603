"""Published pages besides the operations, and the contract as one document.

A worker makes a page on its first request: making all of them would take longer than the rest of
the start.
"""

import asyncio
import hashlib
import re
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import NamedTuple

import orjson
from starlette.types import ASGIApp, Receive, Scope, Send

from todo_api import contract
from todo_api.contract import openapi31
from todo_api.http import MethodNotAllowed, normalize_path
from todo_api.observability import PAGE, RequestRecord

LOCAL = "http://localhost:8000"
"""Address of the service on pages that know no other."""

_HOST = re.compile(rb"(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
"""A host that can stand in a page and in a command that people copy from it."""

FOREVER = "public, max-age=31536000, immutable"
"""`Cache-Control` of immutable content (RFC 8246)."""


class Page(NamedTuple):
    """A published document or redirect."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    tag: bytes


PageFactories = dict[str, Callable[[], Page]]
"""Functions that make the pages, by path."""


def page(body: bytes, media_type: str, status: int = 200, **headers: str) -> Page:
    """Return a page with a strong `ETag` that is revalidated on each use."""
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'.encode()
    named = {"content-type": media_type, "cache-control": "no-cache", "content-length": str(len(body))}
    named |= {name.replace("_", "-"): value for name, value in headers.items()}
    encoded = [(name.encode(), value.encode()) for name, value in named.items()]
    return Page(status, [*encoded, (b"etag", tag)], body, tag)


def html(body: bytes, policy: str) -> Page:
    """Return a page for people with its Content-Security-Policy.

    No other page may frame it or reach into it, and its links send no referrer.
    """
    return page(
        body,
        "text/html; charset=utf-8",
        content_security_policy=policy,
        cross_origin_opener_policy="same-origin",
        referrer_policy="no-referrer",
        x_frame_options="DENY",
    )


def published(public_path: str = "") -> PageFactories:
    """Return the page factories of the contract, with where the public finds it."""
    path = contract.TASK_API
    contract.as_json(path)  # read as it is enforced from now on, whatever is installed later
    return {
        "/api/v1/openapi.yaml": lambda: page(contract.as_yaml(path, public_path), "application/yaml"),
        "/api/v1/openapi.json": lambda: page(orjson.dumps(contract.load(path, public_path)), "application/json"),
        "/api/v1/openapi-3.1.json": lambda: page(
            orjson.dumps(openapi31.convert(contract.load(path, public_path))), "application/json"
        ),
    }


def redirect(target: str) -> Page:
    """Return a redirect (RFC 9110, section 15.4.8)."""
    return page(b"", "text/plain", 307, location=target)


def _asked_at(scope: Scope, found: Page) -> Page:
    """Return the page with the address at which it was asked for in place of the local one."""
    hosts = [value for name, value in scope["headers"] if name == b"host"]
    if LOCAL.encode() not in found.body or len(hosts) != 1 or not _HOST.fullmatch(hosts[0]):
        return found
    body = found.body.replace(LOCAL.encode(), scope["scheme"].encode() + b"://" + hosts[0])
    fields = {
        name.decode(): value.decode() for name, value in found.headers if name not in {b"etag", b"content-length"}
    }
    return page(body, fields.pop("content-type"), found.status, **fields)


class Pages:
    """Serves the published pages, and passes other requests on."""

    def __init__(
        self, app: ASGIApp, pages: PageFactories, count: Callable[[Scope], Awaitable[None]] | None = None
    ) -> None:
        """`count` counts a request for its address, and raises above the limit."""
        self._app = app
        self._count = count
        self._makers = {path.encode(): make for path, make in pages.items()}
        self._made: dict[bytes, Page] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the page, or with 304 if the client has it."""
        path = normalize_path(scope["raw_path"])
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
        status, headers, body, tag = _asked_at(scope, found) if path == b"/" else found
        if scope["method"] == "OPTIONS":
            status, headers, body = 204, [(b"allow", b"GET, HEAD, OPTIONS")], b""
        elif scope["method"] not in ("GET", "HEAD"):
            raise MethodNotAllowed("GET, HEAD, OPTIONS")
        elif status == HTTPStatus.OK and any(
            tag in value or value == b"*" for name, value in scope["headers"] if name == b"if-none-match"
        ):
            status, body = 304, b""
            headers = [(name, value) for name, value in headers if name not in (b"content-length", b"content-type")]
        # Copy the list: middlewares may add to it.
        await send({"type": "http.response.start", "status": status, "headers": [*headers]})
        await send({"type": "http.response.body", "body": body})
