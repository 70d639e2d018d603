"""The task operations as tools for agents: a server of the Model Context Protocol, generated from the contract by fastmcp."""

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
"""Seconds that a tool waits for the service."""

NOT_FOR_TOOLS = ({"$ref": "#/components/parameters/UserId"}, {"$ref": "#/components/parameters/If-None-Match"})
"""Parameters that tools go without: they have no business in another space than their caller's, and keep no copies to renew."""


MISDIRECTED = 421
"""The status for a `Host` that is not this server's (RFC 9110, section 15.5.20)."""

FORBIDDEN = 403


class CallersToken(httpx2.Auth):
    """Sends the service the token of the caller's own request, or no token."""

    def auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        """Adds the token, if there is one; without, the service answers 401."""
        sent = get_http_headers(include={"authorization"}).get("authorization")
        if sent:
            request.headers["authorization"] = sent
        yield request


class OwnToken(httpx2.Auth):
    """Sends the service the token of this process: whoever owns its stdin and stdout is the only caller."""

    def __init__(self, token: str) -> None:
        self._token = token

    def auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        """Adds the token, if there is one; without, the service answers 401."""
        if self._token:
            request.headers["authorization"] = f"Bearer {self._token}"
        yield request


class OwnOrigin:
    """Refuses requests for another host and requests of web pages, but for a page of this very origin.

    fastmcp's own check takes every origin on this machine: a page of another program on localhost could call the tools.
    """

    def __init__(self, app: ASGIApp, port: int) -> None:
        self._app = app
        self._hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost")}
        self._origins = {f"http://{host}" for host in self._hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hands the request on, or answers 421 or 403."""
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
    """Hands every argument to the service, which alone says what is wrong with it.

    fastmcp's own drops a null, so that no description could be cleared, and drops what it does not know.
    """

    def _unflatten_arguments(
        self, route: HTTPRoute, flat_args: dict[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any], dict[str, Any], Any]:
        """The arguments by their places: path, query, headers, cookies and body. A null parameter is an absent one."""
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
    """The server, for the service at `url`: one tool for each operation of the tag `tasks`, named as the operation.

    `auth` says whose token the service is sent.
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
    """Serves until told to stop: on this port of 127.0.0.1, or on stdin and stdout.

    Over HTTP every caller sends a token of their own and `token` is not used: every user of the machine reaches the port.
    Nothing is kept between requests, and `Host` and `Origin` are checked, as MCP asks of servers on a user's machine.
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
    """Return the contract for tools: `me` in place of `{user_id}`, and nothing to send that only the service sets."""
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
    """Return the schema without the members that a request may have, and that the service ignores."""
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
    """Makes the service's problem document, as it is, the text of the tool's error."""
    if response.is_error:
        await response.aread()
        raise ToolError(response.text)


def _adapt(route: HTTPRoute, component: Any) -> None:
    """Tells agents what a call may do (RFC 9110, section 9.2: safe and idempotent methods), and has every argument sent.

    MCP calls a change destructive unless it only adds; so a PATCH, which overwrites, is.
    """
    component.annotations = ToolAnnotations(
        title=route.summary,
        read_only_hint=route.method == "GET",
        destructive_hint=route.method in ("PUT", "PATCH", "DELETE"),
        idempotent_hint=route.method in ("GET", "PUT", "DELETE"),
        open_world_hint=False,
    )
    component.parameters["additionalProperties"] = False
    component._director = Director(component._director._spec)  # fastmcp 4.1 has no other way in
