"""Routing by the raw path: only operations of the contract get further.

A path is split at its slashes before it is decoded, so an encoded slash or a dot segment is text
that validation judges; an empty segment matches nothing. 404, 405 with `Allow`, 417 and OPTIONS are
answered here.
"""

from collections.abc import Callable
from operator import itemgetter
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes

from connexion.middleware.abstract import ROUTING_CONTEXT, SpecMiddleware
from connexion.spec import Specification
from starlette.types import ASGIApp, Receive, Scope, Send

from todo_api.contract import METHODS
from todo_api.http.errors import BadRequest, ExpectationFailed, MethodNotAllowed, RouteNotFound
from todo_api.http.paths import normalize_path
from todo_api.observability import RequestRecord

SERVER_TARGET = b"*"
"""Target of a request about the server itself (RFC 9110, section 7.1). It supports only OPTIONS."""

_ALL_METHODS = ", ".join(sorted([*(method.upper() for method in METHODS), "HEAD", "OPTIONS"]))


class Resource(NamedTuple):
    """A path of a contract, its operations, and the reply to OPTIONS."""

    base_path: str
    template: str
    variable: tuple[tuple[int, str], ...]
    operation_ids: dict[str, str]
    allowed: str
    options: list[tuple[bytes, bytes]]


class PathShape:
    """Paths of the same length with fixed segments at the same positions: one look-up finds one."""

    def __init__(self, positions: tuple[int, ...]) -> None:
        self.positions = positions
        self.fixed: Callable[[list[str]], Any] = itemgetter(*positions)
        """Return the segments at these positions."""
        self.resources: dict[Any, Resource] = {}


class Routes:
    """The paths of all contracts."""

    def __init__(self) -> None:
        self._shapes: dict[int, list[PathShape]] = {}

    def add(self, specification: Specification) -> None:
        """Add the paths of a contract. Those with more fixed segments are tried first."""
        base = specification.base_path
        for path, item in specification["paths"].items():
            template = f"{base}{path}"
            segments = template.split("/")
            fixed = tuple(position for position, text in enumerate(segments) if not text.startswith("{"))
            shape = self._shape(len(segments), fixed)
            resource = _resource(base, template, item)
            if shape.resources.setdefault(shape.fixed(segments), resource) is not resource:
                raise ValueError(f"The path {template} is declared twice, with different parameter names.")

    def _shape(self, length: int, fixed: tuple[int, ...]) -> PathShape:
        shapes = self._shapes.setdefault(length, [])
        known = [shape for shape in shapes if shape.positions == fixed]
        if not known:
            known = [PathShape(fixed)]
            shapes += known
            shapes.sort(key=lambda shape: -len(shape.positions))
        return known[0]

    def find(self, raw_path: bytes) -> tuple[Resource, list[str]]:
        """Return the resource of a path and the path's segments. Raise RouteNotFound."""
        if not raw_path.isascii():
            raise RouteNotFound
        segments = raw_path.decode("ascii").split("/")
        # Parameters are decoded from the raw path: twice decoded, %%34%31 would be an escape.
        compared = normalize_path(raw_path).decode("ascii").split("/") if b"%" in raw_path else segments
        for shape in self._shapes.get(len(segments), ()):
            resource = shape.resources.get(shape.fixed(compared))
            if resource is not None:
                return resource, segments
        raise RouteNotFound


class Routing(SpecMiddleware):
    """Finds the operation of a request for the inner middlewares."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._routes = Routes()

    def add_api(self, specification: Specification, **_: object) -> None:
        """Register the paths of a contract."""
        self._routes.add(specification)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its operation. Raise an error of the request otherwise."""
        _check_expectations(scope["headers"])
        if scope["raw_path"] == SERVER_TARGET:
            await _answer_for_server(scope["method"], send)
            return
        resource, segments = scope["state"].get("match") or self._routes.find(scope["raw_path"])
        parameters = {name: _decode(segments[position]) for position, name in resource.variable}
        record: RequestRecord = scope["state"]["record"]
        record.route = resource.template
        method = scope["method"]
        if method == "OPTIONS":
            await _answer_options(resource.options, send)
            return
        operation_id = resource.operation_ids.get(method)
        if operation_id is None:
            raise MethodNotAllowed(resource.allowed)
        record.start(operation_id, resource.template)
        routing = {"api_base_path": resource.base_path, "operation_id": operation_id}
        if method == "HEAD":
            scope = {**scope, "method": "GET"}  # the server must still see HEAD
        scope["path_params"] = parameters
        scope["extensions"] = {**(scope.get("extensions") or {}), ROUTING_CONTEXT: routing}
        await self._app(scope, receive, send)


def _check_expectations(headers: list[tuple[bytes, bytes]]) -> None:
    """Raise ExpectationFailed unless it is `100-continue`, which the server handles."""
    for name, value in headers:
        if name == b"expect" and any(
            expected.strip().lower() not in (b"", b"100-continue") for expected in value.split(b",")
        ):
            raise ExpectationFailed


async def _answer_options(headers: list[tuple[bytes, bytes]], send: Send) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


async def _answer_for_server(method: str, send: Send) -> None:
    """Answer OPTIONS. Raise BadRequest for any other method (RFC 9112, section 3.2.4)."""
    if method != "OPTIONS":
        raise BadRequest
    await _answer_options([(b"allow", _ALL_METHODS.encode())], send)


def _resource(base_path: str, template: str, item: dict[str, Any]) -> Resource:
    methods = {method.upper(): item[method] for method in METHODS if method in item}
    ids = {method: operation["operationId"] for method, operation in methods.items()}
    if "GET" in ids:
        ids["HEAD"] = ids["GET"]
    allowed = ", ".join(sorted([*ids, "OPTIONS"]))
    options = [(b"allow", allowed.encode())]
    if "PATCH" in methods:
        accepted = ", ".join(methods["PATCH"].get("x-accept-patch") or methods["PATCH"]["requestBody"]["content"])
        options.append((b"accept-patch", accepted.encode()))
    segments = enumerate(template.split("/"))
    variable = tuple((position, text[1:-1]) for position, text in segments if text.startswith("{"))
    return Resource(base_path, template, variable, ids, allowed, options)


def _decode(segment: str) -> str | None:
    """Return a segment decoded once, None if it is not UTF-8. Raise RouteNotFound if empty."""
    if not segment:
        raise RouteNotFound
    if "%" not in segment:
        return segment
    try:
        return unquote_to_bytes(segment).decode("utf-8")
    except UnicodeDecodeError:
        return None
