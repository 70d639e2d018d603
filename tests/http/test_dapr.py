"""Requests as a Dapr sidecar sends them to its application: service invocation, and its health probe."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.credentials import SECRET, token
from tests.support.live import Live
from tests.support.processes import soon

TASKS = "/api/v1/me/tasks"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SIDECAR = (
    "User-Agent: fasthttp",
    "Accept-Encoding: gzip",
    f"Traceparent: 00-{TRACE}-00f067aa0ba902b7-01",
    "Tracestate: dapr=t61rcWkgMzE",
    "Grpc-Trace-Bin: AABL+S81d7NNpqPOkp0ODkc2AQDwZ6oLqQK3AgE",
    "Dapr-App-Id: todo-api",
    "Dapr-Caller-App-Id: checkout",
    "Dapr-Callee-App-Id: todo-api",
    "Source-App-Id: checkout",
    "Destination-App-Id: todo-api",
    "X-Forwarded-For: 10.1.2.3",
    "X-Forwarded-Host: checkout-6c5f8-x2x4k",
    "Forwarded: for=10.1.2.3;by=10.1.2.3;host=checkout-6c5f8-x2x4k",
)


@pytest.fixture(scope="module")
def live(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """The service beside a sidecar of its pod, which it trusts."""
    folder: Path = tmp_path_factory.mktemp("dapr")
    settings = {"DATABASE_URL": url, "JWT_SECRET": SECRET, "LOG_FORMAT": "json", "TRUSTED_PROXIES": "127.0.0.1"}
    with Live(folder, **settings) as service:
        yield service.ready()


def test_invocation_by_a_sidecar_is_answered_as_any_other(live: Live) -> None:
    content = json.dumps({"title": "Through Dapr"}).encode()
    made = live.request("POST", TASKS, content, *SIDECAR, token=token("ada"))
    assert made.status == 201
    task = json.loads(made.body)
    # A sidecar names a media type for a request without a body, too.
    untyped = (*SIDECAR, "Content-Type: application/octet-stream", "Content-Length: 0")
    found = live.request("GET", f"{TASKS}/{task['id']}", b"", *untyped, token=token("ada"))
    assert (found.status, json.loads(found.body)) == (200, task)
    deleted = live.request("DELETE", f"{TASKS}/{task['id']}", b"", *untyped, token=token("ada"))
    assert deleted.status == 204


def test_invocation_by_a_sidecar_joins_its_trace(live: Live) -> None:
    live.request("GET", TASKS, b"", *SIDECAR, "X-Request-ID: by-dapr", token=token("ada"))

    def lines() -> list[dict[str, object]]:
        logged = [json.loads(line) for line in live.output().splitlines() if '"by-dapr"' in line]
        return [line for line in logged if line["event"] == "request"]

    assert soon(lambda: len(lines()) == 1)
    assert (lines()[0]["trace_id"], lines()[0]["parent_id"]) == (TRACE, "00f067aa0ba902b7")


def test_invocation_without_a_token_is_401_whoever_the_sidecar_says_it_is(live: Live) -> None:
    refused = live.request("GET", TASKS, b"", *SIDECAR)
    assert (refused.status, json.loads(refused.body)["code"]) == (401, "unauthorized")


def test_health_probe_of_a_sidecar_needs_no_token(live: Live) -> None:
    assert (
        live.request("GET", "/health/ready", b"", "User-Agent: fasthttp", "Content-Type: application/json").status
        == 200
    )
