"""Traces: a span per request, sent to an OpenTelemetry collector. Needs the extra `otel`.

OpenTelemetry's library does the work and reads its own settings, such as `OTEL_SERVICE_NAME`,
`OTEL_TRACES_SAMPLER` and `OTEL_EXPORTER_OTLP_HEADERS`. Its instrumentation is not used, since that
records the raw path and the statements.

A span is made from the record when the request has ended. A thread of the library sends it, and
drops further spans when its queue is full.
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

from todo_api.observability.request_record import ABANDONED, NONE, OTHER, RequestRecord

SHUTDOWN_TIMEOUT = 1
"""Seconds that the end of a worker waits for its last spans to be sent."""

_NANOSECONDS = 1_000_000_000


class Traces:
    """Observer that makes a span of each request."""

    def __init__(self, endpoint: str) -> None:
        """`endpoint` is the collector's OTLP/HTTP address without `/v1/traces`. Start a thread."""
        ours = Resource({"service.name": "todo-api", "service.version": version("todo-api")})
        # Attributes of the environment replace ours.
        self._provider = TracerProvider(resource=ours.merge(OTELResourceDetector().detect()), shutdown_on_exit=False)
        exporter = OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces")
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("todo_api")

    def on_start(self, record: RequestRecord) -> None:
        """Do nothing: a span is made at the end."""

    def on_end(self, record: RequestRecord) -> None:
        """Make the span, as a child of the caller's if there is one."""
        context = None
        if record.trace_id and record.parent_id:
            flags = TraceFlags(TraceFlags.SAMPLED if record.sampled else TraceFlags.DEFAULT)
            caller = SpanContext(int(record.trace_id, 16), int(record.parent_id, 16), is_remote=True, trace_flags=flags)
            context = set_span_in_context(NonRecordingSpan(caller))
        ended = int(record.ended_at * _NANOSECONDS)
        span = self._tracer.start_span(
            _name(record),
            context,
            SpanKind.SERVER,
            _attributes(record),
            start_time=ended - int(record.seconds * _NANOSECONDS),
        )
        if record.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            span.set_status(StatusCode.ERROR)
        span.end(ended)

    async def __aenter__(self) -> None:
        """Do nothing."""

    async def __aexit__(self, *_: object) -> None:
        """Send what waits, for at most `SHUTDOWN_TIMEOUT`."""
        closing = threading.Thread(target=self._provider.shutdown, name="traces", daemon=True)
        closing.start()
        await asyncio.to_thread(closing.join, SHUTDOWN_TIMEOUT)


def _name(record: RequestRecord) -> str:
    """Return the span's name (OpenTelemetry, semantic conventions for HTTP spans)."""
    method = "HTTP" if record.method == OTHER else record.method
    return method if record.route == NONE else f"{method} {record.route}"


def _attributes(record: RequestRecord) -> dict[str, AttributeValue]:
    """Return the HTTP conventions' attributes without path, query and client address, and ours."""
    attributes: dict[str, AttributeValue] = {
        "http.request.method": "_OTHER" if record.method == OTHER else record.method,
        "url.scheme": "http",  # TLS ends before us
        "todo_api.operation": record.operation,
        "todo_api.request_id": record.request_id,
        "todo_api.database.statements": record.statements,
        "todo_api.database.seconds": record.database_seconds,
        "todo_api.database.wait_seconds": record.wait_seconds,
    }
    if record.dry_run:
        attributes["todo_api.dry_run"] = True
    if record.route != NONE:
        attributes["http.route"] = record.route
    if record.status == ABANDONED:
        attributes["error.type"] = "abandoned"
        return attributes
    attributes["http.response.status_code"] = record.status
    if record.code is not None:
        attributes["todo_api.problem"] = record.code
    if record.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        attributes["error.type"] = record.code or str(record.status)
    return attributes
