"""What is seen of requests: the record of each, and the logs, metrics and traces made of it.

`request_record` is what a request is known by, from its first byte to its last; the others are told of its start and end.
`logs` writes the log, `metrics` counts for all workers in shared memory, `tracing` sends spans and needs the extra `otel`.
"""

from typing import TYPE_CHECKING, Any

from todo_api.observability import logs
from todo_api.observability.logs import Logging, RequestLog
from todo_api.observability.metrics import Exposition, Layout, Memory, Recorder, vocabulary
from todo_api.observability.request_record import OTHER, PAGE, Exchange, Spent, Watcher

if TYPE_CHECKING:  # an extra, imported when it is asked for
    from todo_api.observability.tracing import Traces

__all__ = [
    "OTHER",
    "PAGE",
    "Exchange",
    "Exposition",
    "Layout",
    "Logging",
    "Memory",
    "Recorder",
    "RequestLog",
    "Spent",
    "Traces",
    "Watcher",
    "logs",
    "vocabulary",
]


def __getattr__(name: str) -> Any:
    """Import what needs an extra when it is asked for. Raises ModuleNotFoundError without the extra."""
    if name != "Traces":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from todo_api.observability.tracing import Traces  # noqa: PLC0415  # an extra

    return Traces
