"""Routing by the raw path: nothing that is not in the contract gets any further.

A path is split at its slashes first and decoded then: an encoded slash or a dot segment is just text of its segment, for
validation to judge, and an empty segment matches nothing. In fixed segments an escaped letter is the letter.
404, 405 with the whole `Allow`, 417 and OPTIONS are answered here.
"""

from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes

from connexion.middleware.abstract import ROUTING_CONTEXT, SpecMiddleware
from connexion.spec import Specification
from starlette.types import ASGIApp, Receive, Scope, Send

from todo_api.http.errors import BadRequest, ExpectationFailed, MethodNotAllowed, RouteNotFound
from todo_api.http.paths import normalized
from todo_api.observability import Exchange

METHODS = ("get", "put", "post", "patch", "delete")
"""The methods of operations. HEAD and OPTIONS follow from them."""

SERVER = b"*"
"""The target of a request about the whole server (RFC 9110, section 7.1). It has OPTIONS and nothing else."""

_ALL_METHODS = ", ".join(sorted([*(method.upper() for method in METHODS), "HEAD", "OPTIONS"]))


class Resource(NamedTuple):
    """One path of a contract, its operations, and what OPTIONS says of it."""

    base_path: str
    template: str
    variable: tuple[tuple[int, str], ...]
    operation_ids: dict[str, str]
    allowed: str
    options: list[tuple[bytes, bytes]]


class Shape:
    """Paths of one length whose fixed segments stand at the same places: one look tells them apart."""

    def __init__(self, places: tuple[int, ...]) -> None:
        self.places = places
        self.resources: dict[tuple[str, ...], Resource] = {}

    def find(self, segments: list[str]) -> Resource | None:
        """The path that the segments are of."""
        return self.resources.get(tuple([segments[place] for place in self.places]))


class Routes:
    """The paths of the contracts."""

    def __init__(self) -> None:
        self._shapes: dict[int, list[Shape]] = {}

    def add(self, specification: Specification, base_path: str | None = None) -> None:
        """Learns the paths of a contract. Those with more fixed segments are tried first."""
        base = specification.base_path if base_path is None else base_path
        for path, item in specification["paths"].items():
            template = f"{base}{path}"
            segments = template.split("/")
            fixed = tuple(place for place, text in enumerate(segments) if not text.startswith("{"))
            shape = self._shape(len(segments), fixed)
            resource = _resource(base, template, item)
            if shape.resources.setdefault(tuple(segments[place] for place in fixed), resource) is not resource:
                raise ValueError(f"The path {template} stands twice, with other names for what is variable.")

    def _shape(self, length: int, fixed: tuple[int, ...]) -> Shape:
        shapes = self._shapes.setdefault(length, [])
        known = [shape for shape in shapes if shape.places == fixed]
        if not known:
            known = [Shape(fixed)]
            shapes += known
            shapes.sort(key=lambda shape: -len(shape.places))
        return known[0]

    def match(self, raw_path: bytes) -> tuple[Resource, dict[str, str | None]]:
        """What the path is of, and what stands at its variable places. Raises RouteNotFound."""
        if not raw_path.isascii():
            raise RouteNotFound
        segments = raw_path.decode("ascii").split("/")
        # A variable segment is decoded from what was sent: a second decoding would make an escape of %%34%31.
        compared = normalized(raw_path).decode("ascii").split("/") if b"%" in raw_path else segments
        for shape in self._shapes.get(len(segments), ()):
            resource = shape.find(compared)
            if resource is not None:
                return resource, {name: _decode(segments[place]) for place, name in resource.variable}
        raise RouteNotFound


class Routing(SpecMiddleware):
    """Finds the operation of a request, and tells Connexion's middlewares further in."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._routes = Routes()

    def add_api(self, specification: Specification, *, base_path: str | None = None, **_: Any) -> None:
        """Learns the paths of a contract."""
        self._routes.add(specification, base_path)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hands the request on with its operation.

        Raises RouteNotFound, BadRequest, ExpectationFailed or MethodNotAllowed.
        """
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        _check_expectations(scope["headers"])
        if scope["raw_path"] == SERVER:
            await _answer_for_server(scope["method"], send)
            return
        resource, parameters = self._routes.match(scope["raw_path"])
        exchange: Exchange = scope["state"]["exchange"]
        exchange.route = resource.template
        method = scope["method"]
        if method == "OPTIONS":
            await _answer_options(resource.options, send)
            return
        operation_id = resource.operation_ids.get(method)
        if operation_id is None:
            raise MethodNotAllowed(resource.allowed)
        exchange.enter(operation_id, resource.template)
        routing = {"api_base_path": resource.base_path, "operation_id": operation_id}
        scope = {
            **scope,
            "method": "GET" if method == "HEAD" else method,
            "path_params": parameters,
            "extensions": {**(scope.get("extensions") or {}), ROUTING_CONTEXT: routing},
        }
        await self._app(scope, receive, send)


def _check_expectations(headers: list[tuple[bytes, bytes]]) -> None:
    """Raises ExpectationFailed for anything but `100-continue`, which is the server's business."""
    for name, value in headers:
        if name == b"expect" and any(
            expected.strip().lower() not in (b"", b"100-continue") for expected in value.split(b",")
        ):
            raise ExpectationFailed


async def _answer_options(headers: list[tuple[bytes, bytes]], send: Send) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


async def _answer_for_server(method: str, send: Send) -> None:
    """Raises BadRequest for any method but OPTIONS (RFC 9112, section 3.2.4)."""
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
    variable = tuple((place, text[1:-1]) for place, text in segments if text.startswith("{"))
    return Resource(base_path, template, variable, ids, allowed, options)


def _decode(segment: str) -> str | None:
    """One segment, percent-decoded once; None, for validation to judge, where it is no UTF-8. Raises RouteNotFound where it is empty."""
    if not segment:
        raise RouteNotFound
    if "%" not in segment:
        return segment
    try:
        return unquote_to_bytes(segment).decode("utf-8")
    except UnicodeDecodeError:
        return None
