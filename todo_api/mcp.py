"""Task operations as tools for agents: an MCP server, generated from the contract by fastmcp."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import fastmcp
import httpx2
import orjson
from fastmcp import FastMCP
from fastmcp.exceptions import ToolError
from fastmcp.server.dependencies import get_http_headers
from fastmcp.server.providers.openapi import MCPType, RouteMap
from fastmcp.utilities.logging import configure_logging
from fastmcp.utilities.openapi import HTTPRoute
from fastmcp.utilities.openapi.director import RequestDirector
from mcp_types import ToolAnnotations
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from todo_api import contract
from todo_api.contract import openapi31

TIMEOUT = 45
"""Seconds for which a tool waits for the service. The service may wait 30 for a change."""

NOT_FOR_TOOLS = [{"$ref": f"#/components/parameters/{name}"} for name in ("UserId", "If-None-Match", "Permanent")]
"""Parameters that tools do not have: they use only `me`, and keep no copies to revalidate."""

OWNER = "user_id"
"""Member of a task that tools do not have: it is always the caller."""

VERSION = "version"
"""Argument of tools in place of `If-Match`: the version alone, a number."""

NOT_FOR_AGENTS = ("pattern", "example", "format", "minLength", "maxLength", "minItems", "maxItems")
"""Keywords that agents need not read. The service checks them all the same."""

NOT_FOR_READERS = ("description", "minimum", "maximum", "additionalProperties")
"""Further keywords that the schemas of replies do without."""

MISDIRECTED = 421
"""Status for a `Host` of another server (RFC 9110, section 15.5.20)."""

FORBIDDEN = 403

BATCH_ITEMS = "tasks"
"""Argument and reply of the tools that do one operation on several tasks."""

BRIEF = ("id", "title", "status", "due", "priority", "labels", "project_id", "parent_id", "version")
"""Members of the tasks in a reply about several. `get_task` has the others."""

BATCH_POINTER = re.compile(r"^/operations(/[0-9]+)?(/[a-z_]+)?")
"""Start of a JSON Pointer into a batch: index and name of the operation."""


Authorize = Callable[[httpx2.Request], httpx2.Request]
"""Adds a token to a request, if there is one; without it, the service answers 401."""


def with_callers_token(request: httpx2.Request) -> httpx2.Request:
    """Return the request with the token of the caller's own request."""
    sent = get_http_headers(include={"authorization"}).get("authorization")
    if sent:
        request.headers["authorization"] = sent
    return request


def with_own_token(token: str) -> Authorize:
    """Return what adds the token of this process, whose only caller owns its stdin and stdout."""

    def add(request: httpx2.Request) -> httpx2.Request:
        if token:
            request.headers["authorization"] = f"Bearer {token}"
        return request

    return add


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
    The arguments of a tool for several tasks become a batch. What is only tried is kept nowhere, so
    its `Idempotency-Key` is not sent.
    """

    def _unflatten_arguments(
        self, route: HTTPRoute, flat_args: dict[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any], dict[str, Any], Any]:
        """Return path, query, headers, cookies and body. Null parameters are absent."""
        path, query, headers, cookies, body = super()._unflatten_arguments(route, flat_args)
        if VERSION in headers:
            headers["If-Match"] = '"{}"'.format(str(headers.pop(VERSION)).strip('"'))
        if query.get("dry_run") is True:
            headers.pop("Idempotency-Key", None)
        unknown = {name: value for name, value in flat_args.items() if name not in route.parameter_map}
        nulls = {
            name: None
            for name, value in flat_args.items()
            if value is None and route.parameter_map.get(name, {}).get("location") == "body"
        }
        if route.request_body:
            members = {**(body or {}), **nulls, **unknown}
            kind = route.path.partition("#")[2]
            return path, query, headers, cookies, (_batch(kind, members) if kind else members or None)
        return path, {**query, **unknown}, headers, cookies, body


class RepliesForTools(httpx2.AsyncHTTPTransport):
    """Says replies in the words of the tools."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send the request, and return the reply: without `user_id`, and of a batch its tasks."""
        reply = await super().handle_async_request(request)
        content = await reply.aread()
        if not content:
            return httpx2.Response(reply.status_code)
        value = orjson.loads(content)
        alone = (value, value.get("current"), value.get("task"))
        for task in (*value.get("items", ()), *value.get("tasks", ()), *filter(None, alone)):
            task.pop(OWNER, None)
        if "results" in value:
            value = {BATCH_ITEMS: [{name: each["task"][name] for name in BRIEF} for each in value["results"]]}
        if "operation" in value:
            value["index"] = value.pop("operation")
        for violation in value.get("errors", ()):
            pointer = BATCH_POINTER.sub(rf"/{BATCH_ITEMS}\1", violation["pointer"])
            violation["pointer"] = pointer.replace("/If-Match", f"/{VERSION}")
            violation["detail"] = violation["detail"].replace("are: operations.", f"are: {BATCH_ITEMS}.")
        return httpx2.Response(reply.status_code, json=value)


def tool_server(url: str, auth: Authorize) -> FastMCP[Any]:
    """Return the MCP server for the service at `url`: one tool per operation with `x-mcp`.

    `auth` adds the token to requests.
    """
    written = contract.load(contract.TASK_API)
    document = _for_tools(openapi31.convert(written))
    client = httpx2.AsyncClient(
        base_url=url.rstrip("/") + document["servers"][0]["url"],
        auth=auth,
        timeout=TIMEOUT,
        transport=RepliesForTools(),
        event_hooks={"response": [_refuse]},
    )
    return FastMCP.from_openapi(
        document,
        client,
        name=document["info"]["title"],
        version=document["info"]["version"],
        instructions=written["info"]["x-mcp"]["instructions"],
        route_maps=[RouteMap(mcp_type=MCPType.TOOL)],
        mcp_component_fn=_adapt,
    )


def serve(url: str, token: str, port: int | None) -> None:
    """Serve until stopped: over HTTP on the port of 127.0.0.1, or else on stdin and stdout.

    Over HTTP every caller sends their own token and `token` is unused, since every user of the
    machine reaches the port. `Host` and `Origin` are checked, as MCP requires of local servers.
    """
    # What an agent keeps of stderr is a file: plain lines, without boxes and colours.
    fastmcp.settings.enable_rich_logging = fastmcp.settings.enable_rich_tracebacks = False
    configure_logging()
    if port is None:
        tool_server(url, with_own_token(token)).run("stdio", show_banner=False)
    else:
        tool_server(url, with_callers_token).run(
            "http",
            show_banner=False,
            host="127.0.0.1",
            port=port,
            stateless_http=True,
            middleware=[Middleware(OwnOrigin, port=port)],
        )


def _for_tools(document: dict[str, Any]) -> dict[str, Any]:
    """Return the contract for tools: the operations with `x-mcp`, and short schemas.

    The path has `me` for `{user_id}`, and `version` stands for `If-Match`.
    """
    shared = document["components"]["parameters"]
    version = shared["If-Match"] | {"name": VERSION, "schema": {"type": "integer"}}
    components = document["components"] | {"parameters": shared | {"If-Match": version}}
    paths: dict[str, Any] = {}
    for path, item in document["paths"].items():
        of_all = _parameters(item)
        for method, operation in item.items():
            if method != "parameters" and "x-mcp" in operation:
                for fragment, tool in _tools(operation, document):
                    tool["parameters"] = [*of_all, *_parameters(operation)]
                    paths.setdefault(path.replace("{user_id}", "me") + fragment, {})[method] = tool
    short: dict[str, Any] = _short(document | {"components": components, "paths": paths})
    return short


def _tools(operation: dict[str, Any], document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the tools of an operation, each with the fragment that its path ends with.

    The operation on batches has several: each does one of its operations, and the fragment names
    it. A fragment is not sent (RFC 9110, section 7.1).
    """
    words = operation["x-mcp"]
    for each in words if isinstance(words, list) else [words]:
        tool = operation | {"operationId": each["name"], "description": each["description"]}
        if "operation" not in each:
            yield "", tool
            continue
        item = document["components"]["schemas"]["BatchOperation"]["properties"][each["operation"]]
        items = {"type": "array", "description": "The tasks, in the order in which they are written.", "items": item}
        arguments = {"type": "object", "required": [BATCH_ITEMS], "properties": {BATCH_ITEMS: items}}
        body = {"required": True, "content": {"application/json": {"schema": arguments}}}
        yield f"#{each['operation']}", tool | {"summary": each["title"], "requestBody": body}


def _batch(kind: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the body of a batch that does the same with each of the tasks."""
    body = {name: value for name, value in arguments.items() if name != BATCH_ITEMS}
    if BATCH_ITEMS in arguments:
        tasks = arguments[BATCH_ITEMS]
        body["operations"] = [{kind: each} for each in tasks] if isinstance(tasks, list) else tasks
    return body


def _parameters(part: dict[str, Any]) -> list[Any]:
    return [parameter for parameter in part.get("parameters", []) if parameter not in NOT_FOR_TOOLS]


def _short(part: Any) -> Any:
    """Return a part of the contract without what tools leave out.

    A description keeps its first paragraph: the others are for those who write programs.
    `x-mcp` has the words for agents, if those of the contract speak of HTTP.
    """
    if isinstance(part, list):
        return [_short(each) for each in part if each != OWNER]
    if not isinstance(part, dict):
        return part
    words = {"description": part["x-mcp"]} if isinstance(part.get("x-mcp"), str) else {}
    return {
        name: value.partition("\n\n")[0] if name == "description" and isinstance(value, str) else _short(value)
        for name, value in (part | words).items()
        if name not in {OWNER, *NOT_FOR_AGENTS, "examples"} and not name.startswith("x-")
    }


def _readable(schema: Any) -> Any:
    """Return a schema of a reply without descriptions and bounds: it is read, not written."""
    if isinstance(schema, list):
        return [_readable(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    # A member may be named so: its value is a schema.
    return {
        name: _readable(value)
        for name, value in schema.items()
        if name not in NOT_FOR_READERS or isinstance(value, dict)
    }


async def _refuse(response: httpx2.Response) -> None:
    """Raise the service's problem document as the tool's error."""
    if response.is_error:
        await response.aread()
        raise ToolError(response.text)


def _adapt(route: HTTPRoute, component: Any) -> None:
    """Set the tool's annotations by its method (RFC 9110, section 9.2).

    MCP calls a change destructive unless it only adds, so a PATCH is, and so is a batch of changes.
    Only tools that read describe their replies, which are those of writes as well.
    """
    component.annotations = ToolAnnotations(
        title=route.summary,
        read_only_hint=route.method == "GET",
        destructive_hint=route.method in ("PUT", "PATCH", "DELETE") or route.path.endswith("#update_task"),
        idempotent_hint=route.method in ("GET", "PUT", "DELETE"),
        open_world_hint=False,
    )
    component.parameters["additionalProperties"] = False
    for parameter in route.parameters:
        # fastmcp prefers the description of the schema, which many parameters share.
        if parameter.description:
            component.parameters["properties"][parameter.name]["description"] = parameter.description
    component.output_schema = _readable(component.output_schema) if route.method == "GET" else None
    component._director = Director(component._director._spec)  # noqa: SLF001  # fastmcp 4.1 has no other way in
