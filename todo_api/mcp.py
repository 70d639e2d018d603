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

from todo_api import contract, contract31

TIMEOUT = 30
"""Seconds that a tool waits for the service."""

NOT_FOR_TOOLS = ({"$ref": "#/components/parameters/UserId"}, {"$ref": "#/components/parameters/If-None-Match"})
"""Parameters that tools go without: they have no business in another space than their caller's, and keep no copies to renew."""


class CallersToken(httpx2.Auth):
    """Sends the service the token of whoever calls the tool: that of their request, else the one this process was given."""

    def __init__(self, token: str) -> None:
        self._token = token

    def auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        """Adds the token, if there is one; without, the service answers 401."""
        sent = get_http_headers(include={"authorization"}).get("authorization")
        if sent or self._token:
            request.headers["authorization"] = sent or f"Bearer {self._token}"
        yield request


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


def tool_server(url: str, token: str) -> FastMCP[Any]:
    """The server, for the service at `url`: one tool for each operation of the tag `tasks`, named as the operation."""
    document = _for_tools(contract31.convert(contract.load(contract.TASK_API)))
    client = httpx2.AsyncClient(
        base_url=url.rstrip("/") + document["servers"][0]["url"],
        auth=CallersToken(token),
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

    Over HTTP nothing is kept between requests, and `Host` and `Origin` are checked, as MCP asks of servers on a user's machine.
    """
    server = tool_server(url, token)
    if port is None:
        server.run("stdio", show_banner=False)
    else:
        server.run(
            "http",
            show_banner=False,
            host="127.0.0.1",
            port=port,
            stateless_http=True,
            host_origin_protection="auto",
        )


def _for_tools(document: dict[str, Any]) -> dict[str, Any]:
    """The contract with `me` in place of `{user_id}`, and without the parameters that are not for tools."""
    paths = {}
    for path, item in document["paths"].items():
        paths[path.replace("{user_id}", "me")] = {
            name: _without(NOT_FOR_TOOLS, part) if name == "parameters" else _operation(part)
            for name, part in item.items()
        }
    return document | {"paths": paths}


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
