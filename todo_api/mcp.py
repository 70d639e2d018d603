"""Task operations as tools for agents: an MCP server, generated from the contract by fastmcp."""

from collections.abc import Generator
from typing import Any

import httpx2
from fastmcp import FastMCP
from fastmcp.exceptions import ToolError
from fastmcp.server.dependencies import get_http_headers
from fastmcp.server.providers.openapi import MCPType, RouteMap
from fastmcp.utilities.openapi import HTTPRoute
from fastmcp.utilities.openapi.director import RequestDirector
from mcp_types import ToolAnnotations
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from todo_api import contract
from todo_api.contract import openapi31

TIMEOUT = 30
"""Seconds for which a tool waits for the service."""

NOT_FOR_TOOLS = ({"$ref": "#/components/parameters/UserId"}, {"$ref": "#/components/parameters/If-None-Match"})
"""Parameters that tools do not have: they use only `me`, and keep no copies to revalidate."""


MISDIRECTED = 421
"""Status for a `Host` of another server (RFC 9110, section 15.5.20)."""

FORBIDDEN = 403


class CallersToken(httpx2.Auth):
    """Sends the token of the caller's own request, if there is one."""

    def auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        """Add the token, if there is one; without it, the service answers 401."""
        sent = get_http_headers(include={"authorization"}).get("authorization")
        if sent:
            request.headers["authorization"] = sent
        yield request


class OwnToken(httpx2.Auth):
    """Sends the token of this process, whose only caller owns its stdin and stdout."""

    def __init__(self, token: str) -> None:
        self._token = token

    def auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        """Add the token, if there is one; without it, the service answers 401."""
        if self._token:
            request.headers["authorization"] = f"Bearer {self._token}"
        yield request


class OwnOrigin:
    """Refuses requests for another host, and those of web pages of another origin.

    fastmcp's own check accepts every origin on this machine, so a page of another local program
    could call the tools.
    """

    def __init__(self, app: ASGIApp, port: int) -> None:
        self._app = app
        self._hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost")}
        self._origins = {f"http://{host}" for host in self._hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 421 or 403."""
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            if [host.lower() for host in headers.getlist("host")] not in [[host] for host in self._hosts]:
                await PlainTextResponse("Misdirected Request", MISDIRECTED)(scope, receive, send)
                return
            if not set(headers.getlist("origin")) <= self._origins:
                await PlainTextResponse("Forbidden Origin", FORBIDDEN)(scope, receive, send)
                return
        await self._app(scope, receive, send)


class Director(RequestDirector):
    """Sends every argument to the service, which validates them.

    fastmcp's own drops nulls, so no description could be cleared, and drops unknown arguments.
    """

    def _unflatten_arguments(
        self, route: HTTPRoute, flat_args: dict[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any], dict[str, Any], Any]:
        """Return path, query, headers, cookies and body. Null parameters are absent."""
        path, query, headers, cookies, body = super()._unflatten_arguments(route, flat_args)
        unknown = {name: value for name, value in flat_args.items() if name not in route.parameter_map}
        nulls = {
            name: None
            for name, value in flat_args.items()
            if value is None and route.parameter_map.get(name, {}).get("location") == "body"
        }
        if route.request_body:
            members = {**(body or {}), **nulls, **unknown}
            return path, query, headers, cookies, members or None
        return path, {**query, **unknown}, headers, cookies, body


def tool_server(url: str, auth: httpx2.Auth) -> FastMCP[Any]:
    """Return the MCP server for the service at `url`: one tool per operation of the tag `tasks`.

    `auth` adds the token to requests.
    """
    document = _for_tools(openapi31.convert(contract.load(contract.TASK_API)))
    client = httpx2.AsyncClient(
        base_url=url.rstrip("/") + document["servers"][0]["url"],
        auth=auth,
        timeout=TIMEOUT,
        event_hooks={"response": [_refuse]},
    )
    return FastMCP.from_openapi(
        document,
        client,
        name=document["info"]["title"],
        version=document["info"]["version"],
        instructions=document["info"]["description"],
        route_maps=[RouteMap(tags={"tasks"}, mcp_type=MCPType.TOOL), RouteMap(mcp_type=MCPType.EXCLUDE)],
        mcp_component_fn=_adapt,
    )


def serve(url: str, token: str, port: int | None) -> None:
    """Serve until stopped: over HTTP on the port of 127.0.0.1, or else on stdin and stdout.

    Over HTTP every caller sends their own token and `token` is unused, since every user of the
    machine reaches the port. `Host` and `Origin` are checked, as MCP requires of local servers.
    """
    if port is None:
        tool_server(url, OwnToken(token)).run("stdio", show_banner=False)
    else:
        tool_server(url, CallersToken()).run(
            "http",
            show_banner=False,
            host="127.0.0.1",
            port=port,
            stateless_http=True,
            middleware=[Middleware(OwnOrigin, port=port)],
        )


def _for_tools(document: dict[str, Any]) -> dict[str, Any]:
    """Return the contract for tools: `me` for `{user_id}`, and no read-only members."""
    paths = {}
    for path, item in document["paths"].items():
        paths[path.replace("{user_id}", "me")] = {
            name: _without(NOT_FOR_TOOLS, part) if name == "parameters" else _operation(part)
            for name, part in item.items()
        }
    components = document["components"]
    read_only = {f"#/components/schemas/{name}" for name, each in components["schemas"].items() if each.get("readOnly")}
    schemas = {name: _writable(schema, read_only) for name, schema in components["schemas"].items()}
    return document | {"paths": paths, "components": components | {"schemas": schemas}}


def _writable(schema: dict[str, Any], read_only: set[str]) -> dict[str, Any]:
    """Return the schema without read-only members."""
    if "properties" not in schema:
        return schema
    members = {
        name: member
        for name, member in schema["properties"].items()
        if not member.get("readOnly") and member.get("$ref") not in read_only
    }
    return schema | {"properties": members}


def _operation(operation: dict[str, Any]) -> dict[str, Any]:
    return operation | {"parameters": _without(NOT_FOR_TOOLS, operation.get("parameters", []))}


def _without(left_out: tuple[Any, ...], parameters: list[Any]) -> list[Any]:
    return [parameter for parameter in parameters if parameter not in left_out]


async def _refuse(response: httpx2.Response) -> None:
    """Raise the service's problem document as the tool's error."""
    if response.is_error:
        await response.aread()
        raise ToolError(response.text)


def _adapt(route: HTTPRoute, component: Any) -> None:
    """Set the tool's annotations by its method (RFC 9110, section 9.2).

    MCP calls a change destructive unless it only adds, so a PATCH is.
    """
    component.annotations = ToolAnnotations(
        title=route.summary,
        read_only_hint=route.method == "GET",
        destructive_hint=route.method in ("PUT", "PATCH", "DELETE"),
        idempotent_hint=route.method in ("GET", "PUT", "DELETE"),
        open_world_hint=False,
    )
    component.parameters["additionalProperties"] = False
    component._director = Director(component._director._spec)  # noqa: SLF001  # fastmcp 4.1 has no other way in
