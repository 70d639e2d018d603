"""Observability: a record of each request, and the logs, metrics and traces made from it.

`request_record` is the record; its observers are called at its start and end. `logs` writes the
log. `metrics` counts in memory that all workers share. `tracing` sends spans and needs the extra
`otel`.
"""

from typing import TYPE_CHECKING, Any

from todo_api.observability import logs
from todo_api.observability.logs import LogConfig, RequestLog
from todo_api.observability.metrics import CounterLayout, Exposition, MetricsRecorder, SharedCounters, label_values
from todo_api.observability.request_record import NONE, OTHER, PAGE, Observer, RequestRecord

if TYPE_CHECKING:  # an extra, imported when it is asked for
    from todo_api.observability.tracing import Traces

__all__ = [
    "NONE",
    "OTHER",
    "PAGE",
    "CounterLayout",
    "Exposition",
    "LogConfig",
    "MetricsRecorder",
    "Observer",
    "RequestLog",
    "RequestRecord",
    "SharedCounters",
    "Traces",
    "label_values",
    "logs",
]


def __getattr__(name: str) -> Any:
    """Import what needs an extra on first use. Raise ModuleNotFoundError without the extra."""
    if name != "Traces":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from todo_api.observability.tracing import Traces  # noqa: PLC0415  # an extra

    return Traces
