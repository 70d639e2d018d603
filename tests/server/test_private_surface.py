"""The names of uvicorn, gunicorn and httptools that no release promises and that `todo_api/server/` builds upon.

An upgrade that takes one away fails here, in one line that names it, and not under load.
"""

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

import httptools
import pytest
import uvicorn
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger
from gunicorn.workers.base import Worker as BaseWorker
from uvicorn.lifespan.on import LifespanOn
from uvicorn.protocols.http import httptools_impl
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.server import ServerState
from uvicorn_worker import UvicornWorker

FOLDER = Path(__file__).parents[2] / "todo_api" / "server"
Protocol = httptools_impl.HttpToolsProtocol
Cycle = httptools_impl.RequestResponseCycle

METHODS: dict[type, str] = {
    Protocol: "connection_made connection_lost data_received eof_received on_message_begin on_url on_header"
    " on_headers_complete on_body on_message_complete on_response_complete pause_writing resume_writing shutdown",
    Cycle: "run_asgi receive send send_500_response",
    FlowControl: "pause_reading resume_reading pause_writing resume_writing drain",
    uvicorn.Server: "serve startup main_loop shutdown capture_signals",
    uvicorn.Config: "load get_loop_factory",
    LifespanOn: "startup shutdown",
    UvicornWorker: "run init_signals callback_notify",
    BaseWorker: "notify",
    Arbiter: "reload manage_workers spawn_worker kill_worker run",
    Logger: "setup",
    httptools.HttpRequestParser: "feed_data get_http_version should_keep_alive should_upgrade",
}
"""What is called or overridden."""

ATTRIBUTES: dict[type, str] = {
    Protocol: "config app loop logger access_logger parser app_state server_state tasks transport flow client scope"
    " headers cycle",
    Cycle: "scope transport flow message_event on_response disconnected keep_alive waiting_for_100_continue more_body"
    " response_started response_complete chunked_encoding expected_content_length",
    FlowControl: "read_paused write_paused",
    ServerState: "total_requests connections tasks default_headers",
    uvicorn.Server: "config server_state started should_exit lifespan servers",
    LifespanOn: "should_exit state",
    UvicornWorker: "config",
    BaseWorker: "wsgi sockets ppid age cfg",
    Arbiter: "WORKERS num_workers master_pid",
    Logger: "error_log",
}
"""What is read or set: the class sets it itself, or has it."""

PARAMETERS: dict[type, str] = {
    Protocol: "config server_state app_state _loop",
    Cycle: "scope transport flow logger access_logger access_log default_headers message_event expect_100_continue"
    " keep_alive on_response",
}
"""How they are made."""


def pairs(names: dict[type, str]) -> list[tuple[type, str]]:
    return [(owner, name) for owner, listed in names.items() for name in listed.split()]


def called(pair: object) -> str:
    return pair.__name__ if isinstance(pair, type) else str(pair)


@pytest.mark.parametrize(("owner", "name"), pairs(METHODS), ids=called)
def test_method_that_the_server_builds_upon_is_there(owner: type, name: str) -> None:
    assert callable(getattr(owner, name, None)), f"{owner.__module__}.{owner.__name__}.{name}() is gone"


@pytest.mark.parametrize(("owner", "name"), pairs(ATTRIBUTES), ids=called)
def test_attribute_that_the_server_builds_upon_is_there(owner: type, name: str) -> None:
    assert name in set(own_names(owner)), f"{owner.__module__}.{owner.__name__}.{name} is gone"


@pytest.mark.parametrize("owner", PARAMETERS, ids=called)
def test_class_that_the_server_makes_takes_the_same_parameters(owner: type) -> None:
    taken = list(inspect.signature(owner).parameters)
    assert taken == PARAMETERS[owner].split(), f"{owner.__module__}.{owner.__name__} is made otherwise"


def test_names_of_modules_that_the_server_takes_are_there() -> None:
    assert httptools_impl.STATUS_LINE[200] == b"HTTP/1.1 200 OK\r\n"
    assert issubclass(httptools.HttpParserCallbackError, httptools.HttpParserError)
    assert issubclass(httptools.HttpParserUpgrade, Exception)


def test_private_names_that_the_server_touches_are_its_own() -> None:
    """No name with an underscore of a library is used: those above are without one, and still promised by nobody."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in FOLDER.glob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    defined = {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    defined |= {target for node in nodes for target in set_by(node)}
    used = {node.attr for node in nodes if isinstance(node, ast.Attribute) and node.attr.startswith("_")}
    assert used - defined - {"__context__"} == set()


def test_every_name_of_a_base_that_the_server_overrides_is_listed() -> None:
    overridden = {
        (base, node.name)
        for base, kind in ((Protocol, "HttpProtocol"), (Cycle, "Cycle"), (uvicorn.Server, "WorkerServer"))
        for node in methods_of(kind)
        if hasattr(base, node.name) and not node.name.startswith("__")
    }
    assert overridden
    assert overridden - set(pairs(METHODS)) == set()


def methods_of(kind: str) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for path in FOLDER.glob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and node.name == kind:
                yield from (each for each in node.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef))


def set_by(node: ast.AST) -> set[str]:
    """The names that an assignment gives a value, of `self` or of a class."""
    targets: list[ast.expr] = []
    if isinstance(node, ast.Assign):
        targets = [each for target in node.targets for each in ast.walk(target) if isinstance(each, ast.expr)]
    elif isinstance(node, ast.AnnAssign):
        targets = [node.target]
    return {
        each.attr if isinstance(each, ast.Attribute) else each.id
        for each in targets
        if isinstance(each, ast.Attribute | ast.Name)
    }


def own_names(owner: type) -> Iterator[str]:
    """What the class or one that it is derived from has, or sets on itself in any of its methods."""
    yield from dir(owner)
    for base in owner.__mro__[:-1]:
        try:
            source = inspect.getsource(base)
        except (OSError, TypeError):
            continue
        for node in ast.walk(ast.parse(source)):
            yield from set_by(node)
