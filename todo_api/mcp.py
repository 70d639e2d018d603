"""The task operations as tools for agents: a server of the Model Context Protocol, generated from the contract by fastmcp."""

from collections.abc import Generator
from typing import Any

import httpx2
from fastmcp import FastMCP
from fastmcp.server.dependencies import get_http_headers
from fastmcp.server.providers.openapi import MCPType, RouteMap
from fastmcp.utilities.openapi import HTTPRoute
from mcp_types import ToolAnnotations

from todo_api import contract, contract31

TIMEOUT = 30
"""Seconds that a tool waits for the service."""


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


def tool_server(url: str, token: str) -> FastMCP[Any]:
    """The server, for the service at `url`: one tool for each operation of the tag `tasks`, named as the operation."""
    document = _own_space(contract31.convert(contract.load(contract.TASK_API)))
    client = httpx2.AsyncClient(
        base_url=url.rstrip("/") + document["servers"][0]["url"], auth=CallersToken(token), timeout=TIMEOUT
    )
    return FastMCP.from_openapi(
        document,
        client,
        name=document["info"]["title"],
        version=document["info"]["version"],
        instructions=document["info"]["description"],
        route_maps=[RouteMap(tags={"tasks"}, mcp_type=MCPType.TOOL), RouteMap(mcp_type=MCPType.EXCLUDE)],
        mcp_component_fn=_annotate,
    )


def _own_space(document: dict[str, Any]) -> dict[str, Any]:
    """The contract with `me` in place of `{user_id}`: a tool has no business in another space than its caller's."""
    user_id = {"$ref": "#/components/parameters/UserId"}
    paths = {}
    for path, item in document["paths"].items():
        parameters = [parameter for parameter in item.get("parameters", []) if parameter != user_id]
        paths[path.replace("{user_id}", "me")] = item | {"parameters": parameters}
    return document | {"paths": paths}


def _annotate(route: HTTPRoute, component: Any) -> None:
    """Tells agents what a call may do (RFC 9110, section 9.2: safe and idempotent methods)."""
    component.annotations = ToolAnnotations(
        title=route.summary,
        read_only_hint=route.method == "GET",
        destructive_hint=route.method in ("DELETE", "PUT"),
        idempotent_hint=route.method in ("GET", "PUT", "DELETE"),
        open_world_hint=False,
    )
