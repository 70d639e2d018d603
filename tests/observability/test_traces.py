"""Traces: the real server, and a collector of the test's own that takes OTLP over HTTP and reads it."""

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.support.credentials import SECRET, token
from tests.support.live import SLACK, Live, free_port, refusal
from todo_api.observability import tracing
from todo_api.observability.request_record import RequestRecord

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
SOON = {"OTEL_BSP_SCHEDULE_DELAY": "50"}
"""Milliseconds for which spans gather."""


class Collector:
    """What takes spans. Each is kept with its attributes."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.resources: list[dict[str, Any]] = []
        self.paths: set[str] = set()
        self.endpoint = ""

    def take(self, path: str, body: bytes) -> None:
        request = ExportTraceServiceRequest.FromString(body)
        self.paths.add(path)
        for each in request.resource_spans:
            self.resources.append(read(each.resource.attributes))
            self.spans += [span for scope in each.scope_spans for span in scope.spans]

    def of(self, operation: str, count: int = 1) -> list[Span]:
        """The spans of an operation, once there are so many."""
        deadline = time.monotonic() + SLACK
        while time.monotonic() < deadline:
            found = [span for span in self.spans if read(span.attributes)["todo_api.operation"] == operation]
            if len(found) >= count:
                return found
            time.sleep(0.02)
        raise AssertionError(f"{len(found)} spans of {operation}")


def read(attributes: Any) -> dict[str, Any]:
    """Attributes by name."""
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}


@contextmanager
def collecting() -> Iterator[Collector]:
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            collector.take(self.path, self.rfile.read(int(self.headers["content-length"])))
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector.endpoint = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield collector
        server.shutdown()


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as found:
        yield found


@pytest.fixture(scope="module")
def live(url: str, collector: Collector, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A server that sends its spans to the collector."""
    settings = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=here",
    }
    folder = tmp_path_factory.mktemp("traces")
    with Live(folder, DATABASE_URL=url, JWT_SECRET=SECRET, **settings, **SOON) as started:
        yield started.ready()


def test_span_has_the_names_of_the_conventions_and_nothing_personal(live: Live, collector: Collector) -> None:
    made = live.request(
        "POST", "/api/v1/me/tasks", b'{"title": "a secret plan"}', "X-Request-ID: r-1", token=token("ada-lovelace")
    )
    before = time.time_ns()
    assert made.status == 201
    (span,) = collector.of("createTask")
    attributes = read(span.attributes)
    seconds = {name: attributes.pop(f"todo_api.database.{name}") for name in ("seconds", "wait_seconds")}
    assert attributes == {
        "http.request.method": "POST",
        "http.route": "/api/v1/{user_id}/tasks",
        "http.response.status_code": 201,
        "url.scheme": "http",
        "todo_api.operation": "createTask",
        "todo_api.request_id": "r-1",
        "todo_api.database.statements": 1,
    }
    assert (span.name, span.kind) == ("POST /api/v1/{user_id}/tasks", Span.SPAN_KIND_SERVER)
    assert (span.parent_span_id, span.status.code) == (b"", Status.STATUS_CODE_UNSET)
    lasted = (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9
    assert 0 < seconds["seconds"] < lasted
    assert 0 <= seconds["wait_seconds"] < lasted
    assert abs(span.end_time_unix_nano - before) < 20e9
    sent = str(collector.spans) + str(collector.resources)
    assert [word for word in ("ada-lovelace", "secret plan", made.json()["id"], "127.0.0.1") if word in sent] == []


def test_span_of_a_dry_run_says_that_it_was_one(live: Live, collector: Collector) -> None:
    made = live.request("POST", "/api/v1/me/projects?dry_run=true", b'{"name": "x"}', token=token("ada-lovelace"))
    assert made.status == 201
    (span,) = collector.of("createProject")
    assert read(span.attributes)["todo_api.dry_run"] is True


def test_resource_says_which_service_and_release_and_what_the_environment_adds(
    live: Live, collector: Collector
) -> None:
    live.request("GET", "/health/live")
    collector.of("checkLiveness")
    resource = collector.resources[0]
    assert (resource["service.name"], resource["deployment.environment.name"]) == ("todo-api", "here")
    assert resource["service.version"]
    assert collector.paths == {"/v1/traces"}


def test_span_is_a_child_of_the_callers(live: Live, collector: Collector) -> None:
    live.request("GET", "/api/v1/me/tasks", b"", f"traceparent: 00-{TRACE}-{PARENT}-01", token=token("ada"))
    (span,) = collector.of("listTasks")
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)


def test_caller_who_does_not_keep_its_trace_gets_no_span(live: Live, collector: Collector) -> None:
    path = "/api/v1/me/tasks/01932c07-9f7a-7c1d-b6a1-5a2f0f5d1c3e"
    live.request("GET", path, b"", f"traceparent: 00-{TRACE}-{PARENT}-00", token=token("ada"))
    live.request("GET", path, token=token("ada"))
    (span,) = collector.of("getTask")
    assert span.parent_span_id == b""
    attributes = read(span.attributes)
    assert (attributes["http.response.status_code"], attributes["todo_api.problem"]) == (404, "not_found")
    assert "error.type" not in attributes
    assert span.status.code == Status.STATUS_CODE_UNSET  # a 4xx is no error of a server's


def test_path_that_is_nowhere_has_no_route_and_does_not_show(live: Live, collector: Collector) -> None:
    live.request("GET", "/ada-was-here")
    (span,) = collector.of("none")
    assert (span.name, "http.route" in read(span.attributes)) == ("GET", False)
    assert "ada-was-here" not in str(span)


def test_5xx_is_an_error_of_the_span(tmp_path: Path) -> None:
    unreachable = f"postgresql://127.0.0.1:{free_port()}/none"
    with collecting() as collector, _without_database(tmp_path, unreachable, collector):
        (span,) = collector.of("checkReadiness")
    attributes = read(span.attributes)
    assert (attributes["http.response.status_code"], attributes["error.type"]) == (503, "unavailable")
    assert span.status.code == Status.STATUS_CODE_ERROR


@contextmanager
def _without_database(folder: Path, url: str, collector: Collector) -> Iterator[None]:
    """The application, which unlike the command line starts without a database, asked once whether it is ready."""
    program = """
import asyncio, sys
from tests.support.client import Client, event_loop
from tests.support.contract_check import ContractCheck
from tests.support.credentials import SECRET
from todo_api.app import _unshared_observers, create_app
from todo_api.config import Config
from todo_api.observability.tracing import Traces

observers = _unshared_observers()._replace(traces=Traces(sys.argv[2]))
with event_loop() as loop:
    client = Client(create_app(Config(database_url=sys.argv[1], jwt_secret=SECRET), observers), ContractCheck(), loop)
    assert client.get("/health/ready").status == 503
    asyncio.run_coroutine_threadsafe(observers.traces.__aexit__(), loop).result(10)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, url, collector.endpoint],
        capture_output=True,
        text=True,
        check=False,
        timeout=SLACK,
    )
    assert done.returncode == 0, done.stderr
    yield


def test_last_spans_are_sent_when_the_service_stops(url: str, tmp_path: Path) -> None:
    with collecting() as collector:
        slow = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint, "OTEL_BSP_SCHEDULE_DELAY": "60000"}
        with Live(tmp_path, DATABASE_URL=url, JWT_SECRET=SECRET, **slow).ready() as live:
            live.request("GET", "/api/v1/me/tasks", token=token("ada"))
            assert collector.spans == []
            assert live.end() == 0
        assert len(collector.of("listTasks")) == 1


@pytest.mark.parametrize("kind", ["nobody", "mute"])
def test_collector_that_is_away_disturbs_no_request_and_no_stop(kind: str, url: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:  # takes connections, and never says a word
        port = listening.getsockname()[1] if kind == "mute" else free_port()
        settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}", "OTEL_BSP_MAX_QUEUE_SIZE": "16"}
        few = {"OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "8", "OTEL_EXPORTER_OTLP_TIMEOUT": "60"}
        with Live(tmp_path, DATABASE_URL=url, JWT_SECRET=SECRET, **settings, **SOON, **few).ready() as live:
            began = time.monotonic()
            statuses = {live.request("GET", "/api/v1/me/tasks", token=token("ada")).status for _ in range(50)}
            assert (statuses, time.monotonic() - began < 20) == ({200}, True)
            began = time.monotonic()
            assert live.end() == 0
            assert time.monotonic() - began < 7  # at 8, gunicorn kills a worker that still waits for the collector


def test_serve_with_an_endpoint_and_without_the_extra_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "opentelemetry").mkdir()
    (tmp_path / "opentelemetry" / "__init__.py").write_text("")  # takes the place of the one that is installed
    line = refusal("serve", cwd=tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT="http://localhost:4318", PYTHONPATH=str(tmp_path))
    assert line == (
        "OTEL_EXPORTER_OTLP_ENDPOINT is set, and opentelemetry.exporter is missing. "
        "Install the extra: pip install 'todo-api[otel]'"
    )


@pytest.mark.parametrize("wrong", ["localhost:4318", "ftp://collector", "http://", "http://name:word@collector:4318"])
def test_endpoint_that_is_no_address_is_refused(wrong: str, tmp_path: Path) -> None:
    line = refusal("serve", cwd=tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=wrong)
    assert line == "OTEL_EXPORTER_OTLP_ENDPOINT must be a URL, such as http://localhost:4318"


def test_span_of_a_request_whose_client_went_away_says_so_and_has_no_status() -> None:
    attributes = tracing._attributes(RequestRecord("GET", "id", None, ()))
    assert attributes["error.type"] == "abandoned"
    assert "http.response.status_code" not in attributes
