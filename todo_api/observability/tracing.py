"""Traces: a span for each request, to an OpenTelemetry collector. The extra `otel` brings what this needs.

OpenTelemetry's own library does the work, and its other settings are its own: it reads `OTEL_SERVICE_NAME`, `OTEL_TRACES_SAMPLER`,
`OTEL_EXPORTER_OTLP_HEADERS` and the like from the environment. Its ready-made instrumentation is not used: it writes down the path that
was sent, and the statements.

A span is made once the request is over, from what the exchange has learnt. It waits in memory for the library's thread to send it; if
too many wait, they are dropped.
"""

import asyncio
import threading
from http import HTTPStatus
from importlib.metadata import version

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, StatusCode, TraceFlags, set_span_in_context
from opentelemetry.util.types import AttributeValue

from todo_api.observability.request_record import ABANDONED, NONE, OTHER, Exchange

LAST_WORDS = 1
"""Seconds that a worker's end waits for its last spans to be sent."""

_NANOSECONDS = 1_000_000_000


class Traces:
    """Watches the exchanges of one worker, and makes a span of each."""

    def __init__(self, endpoint: str) -> None:
        """`endpoint` is the collector's OTLP address over HTTP, without the `/v1/traces` that is asked there. Begins a thread."""
        ours = Resource({"service.name": "todo-api", "service.version": version("todo-api")})
        # Those of the environment win.
        self._provider = TracerProvider(resource=ours.merge(OTELResourceDetector().detect()), shutdown_on_exit=False)
        exporter = OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces")
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("todo_api")

    def entered(self, exchange: Exchange) -> None:
        """Nothing yet: what a span says is known at the end."""

    def ended(self, exchange: Exchange) -> None:
        """Makes the span, as a child of the caller's where it sent one."""
        context = None
        if exchange.trace_id and exchange.parent_id:
            flags = TraceFlags(TraceFlags.SAMPLED if exchange.sampled else TraceFlags.DEFAULT)
            caller = SpanContext(
                int(exchange.trace_id, 16), int(exchange.parent_id, 16), is_remote=True, trace_flags=flags
            )
            context = set_span_in_context(NonRecordingSpan(caller))
        ended = int(exchange.ended_at * _NANOSECONDS)
        span = self._tracer.start_span(
            _name(exchange),
            context,
            SpanKind.SERVER,
            _attributes(exchange),
            start_time=ended - int(exchange.seconds * _NANOSECONDS),
        )
        if exchange.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            span.set_status(StatusCode.ERROR)
        span.end(ended)

    async def __aenter__(self) -> None:
        """Nothing: spans are taken from when it is made."""

    async def __aexit__(self, *_: object) -> None:
        """Sends what waits, for as long as `LAST_WORDS`. Whatever hangs then ends with the process."""
        closing = threading.Thread(target=self._provider.shutdown, name="traces", daemon=True)
        closing.start()
        await asyncio.to_thread(closing.join, LAST_WORDS)


def _name(exchange: Exchange) -> str:
    """The method and the route; what HTTP does not know has no name of its own (OpenTelemetry, semantic conventions for HTTP spans)."""
    method = "HTTP" if exchange.method == OTHER else exchange.method
    return method if exchange.route == NONE else f"{method} {exchange.route}"


def _attributes(exchange: Exchange) -> dict[str, AttributeValue]:
    """By the semantic conventions for HTTP servers, without the path, the query and the caller's address; and our own."""
    attributes: dict[str, AttributeValue] = {
        "http.request.method": "_OTHER" if exchange.method == OTHER else exchange.method,
        "url.scheme": "http",  # TLS ends before us
        "todo_api.operation": exchange.operation,
        "todo_api.request_id": exchange.request_id,
        "todo_api.database.statements": exchange.statements,
        "todo_api.database.seconds": exchange.database_seconds,
        "todo_api.database.wait_seconds": exchange.waited,
    }
    if exchange.route != NONE:
        attributes["http.route"] = exchange.route
    if exchange.status == ABANDONED:
        attributes["error.type"] = "abandoned"
        return attributes
    attributes["http.response.status_code"] = exchange.status
    if exchange.code is not None:
        attributes["todo_api.problem"] = exchange.code
    if exchange.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        attributes["error.type"] = exchange.code or str(exchange.status)
    return attributes
