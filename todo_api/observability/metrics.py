"""Metrics of all workers, for Prometheus.

Each number has a fixed index in memory that the processes share. Each worker writes only to its own
slot, so nothing is locked and counting costs an addition. Any worker can add up all slots. A new
worker takes over the slot of a dead one and counts on, so counters only rise. The library's own
multiprocess mode keeps a file for each process that ever ran, at ten times the cost.

Label values come from the contracts and from tables here, never from what a client sent.
"""

import mmap
import os
import platform
import threading
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from importlib.metadata import version
from itertools import accumulate
from typing import Any, NamedTuple

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from todo_api.contract import operations
from todo_api.errors import Unauthorized
from todo_api.observability.request_record import ABANDONED, NONE, OTHER, PAGE, RequestRecord

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.35, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds in seconds. They include the limits of the product's plans: 0.15, 0.2 and 0.5."""

STATUSES = (200, 201, 204, 304, 307, ABANDONED)
"""Statuses of replies that are no problem documents."""

CAUSES = {
    "ExpiredSignatureError": "expired",
    "InvalidSignatureError": "signature",
    "InvalidAlgorithmError": "algorithm",
    "InvalidKeyError": "key",
    "InvalidIssuerError": "issuer",
    "InvalidAudienceError": "audience",
    "ImmatureSignatureError": "too_early",
    "InvalidIssuedAtError": "too_early",
    "MissingRequiredClaimError": "claim_missing",
    "DecodeError": "malformed",
}
"""Why a token is refused, by PyJWT's error, unless the refusal has a cause of its own."""

KEY_CAUSES = ("key_malformed", "key_unknown", "key_expired")
"""Why an API key is refused. A revoked key is unknown."""

_CAUSES = frozenset((*CAUSES.values(), *KEY_CAUSES))
_MISSING = "missing"
_WIDTH = len(BUCKETS) + 2  # one more bucket for what is slower than all, and the sum


class LabelValues(NamedTuple):
    """Every value that a label can have."""

    operations: tuple[str, ...]
    statuses: tuple[str, ...]
    codes: tuple[str, ...]
    causes: tuple[str, ...]


def label_values(contracts: Iterable[dict[str, Any]], kinds: Iterable[tuple[int, str]]) -> LabelValues:
    """Return the labels' values. `kinds` are the statuses and codes of all problems."""
    names = [operation["operationId"] for contract in contracts for _, _, operation in operations(contract)]
    statuses, codes = zip(*kinds, strict=True)
    return LabelValues(
        (*names, PAGE, NONE),
        (*(str(status) for status in sorted({*STATUSES, *statuses})), OTHER),
        (*sorted(set(codes)), OTHER),
        (_MISSING, *sorted(_CAUSES), OTHER),
    )


class SharedMetric(NamedTuple):
    """A metric, and where its numbers begin in a slot: one for each value of its label."""

    family: type[CounterMetricFamily] | type[GaugeMetricFamily]
    name: str
    text: str
    label: str | None
    values: tuple[str, ...]
    start: int


class CounterLayout:
    """Index of each number in a slot."""

    def __init__(self, labels: LabelValues) -> None:
        self.labels = labels
        self.metrics: list[SharedMetric] = []
        self.requests = 0
        self.size = len(labels.operations) * len(labels.statuses) * _WIDTH
        counter, gauge, operations = CounterMetricFamily, GaugeMetricFamily, labels.operations
        self.in_flight = self._add(gauge, "requests_in_flight", "Requests being answered", "operation", operations)
        self.statements = self._add(counter, "database_statements", "Statements sent", "operation", operations)
        text = "Seconds that statements took"
        self.database_seconds = self._add(counter, "database_seconds", text, "operation", operations)
        self.dry_runs = self._add(counter, "dry_runs", "Writes tried and undone", "operation", operations)
        self.codes = self._add(counter, "rejections", "Problems returned, by code", "code", labels.codes)
        self.causes = self._add(counter, "tokens_refused", "Tokens refused, by cause", "cause", labels.causes)
        text = "Seconds that requests waited for a connection"
        self.wait_seconds = self._add(counter, "database_wait_seconds", text)
        text = "Log lines dropped because nobody read them in time"
        self.dropped = self._add(counter, "log_lines_dropped", text)
        self.started = self._add(counter, "worker_starts", "Workers started so far")
        self.pool_size = self._add(gauge, "database_connections", "Maximum number of pooled connections")
        self.pool_in_use = self._add(gauge, "database_connections_in_use", "Pooled connections in use")
        self.process = self.size
        self.size += 1

    def _add(
        self,
        family: type[CounterMetricFamily] | type[GaugeMetricFamily],
        name: str,
        text: str,
        label: str | None = None,
        values: tuple[str, ...] = ("",),
    ) -> int:
        """Add a metric, and return the index of its first number."""
        start = self.size
        self.metrics.append(SharedMetric(family, f"todo_api_{name}", text, label, values, start))
        self.size += len(values)
        return start


class SharedCounters:
    """The slots of all workers, in shared memory. The process that made it assigns the slots."""

    def __init__(self, layout: CounterLayout, slots: int) -> None:
        self.layout = layout
        self.slots = slots
        self._numbers = memoryview(mmap.mmap(-1, slots * layout.size * 8)).cast("d")
        self._taken: set[int] = set()

    def acquire_slot(self) -> int:
        """Return a free slot. Raise StopIteration if there is none."""
        slot = next(number for number in range(self.slots) if number not in self._taken)
        self._taken.add(slot)
        self[slot][self.layout.started] += 1
        return slot

    def release_slot(self, slot: int) -> None:
        """Free the slot of a worker that has ended. Its counters stay, its gauges are reset."""
        numbers = self[slot]
        numbers[self.layout.process] = 0.0
        for metric in self.layout.metrics:
            if metric.family is GaugeMetricFamily:
                for index in range(metric.start, metric.start + len(metric.values)):
                    numbers[index] = 0.0
        self._taken.discard(slot)

    def __getitem__(self, slot: int) -> "memoryview[float]":
        return self._numbers[slot * self.layout.size : (slot + 1) * self.layout.size]


class MetricsRecorder:
    """Observer that counts the requests of one worker in its slot."""

    def __init__(self, counters: SharedCounters, slot: int, dropped: Callable[[], int] = lambda: 0) -> None:
        """Count in the slot. `dropped` returns how many log lines were dropped so far."""
        layout = counters.layout
        self._numbers = counters[slot]
        self._layout = layout
        labels = layout.labels
        self._operations = {name: number for number, name in enumerate(labels.operations)}
        self._none = self._operations[NONE]
        self._statuses = {int(text): number * _WIDTH for number, text in enumerate(labels.statuses) if text != OTHER}
        self._other_status = labels.statuses.index(OTHER) * _WIDTH
        self._row = len(labels.statuses) * _WIDTH
        self._codes = {code: layout.codes + number for number, code in enumerate(labels.codes)}
        self._causes = {cause: layout.causes + number for number, cause in enumerate(labels.causes)}
        self._dropped = dropped
        self._dropped_before = dropped()
        self._lock = threading.Lock()
        self._numbers[layout.process] = os.getpid()

    def set_pool_size(self, size: int) -> None:
        """Record the maximum number of connections of the pool."""
        self._numbers[self._layout.pool_size] = size

    def add_connections_in_use(self, change: int) -> None:
        """Add to the connections in use. Thread-safe."""
        with self._lock:
            self._numbers[self._layout.pool_in_use] += change

    def on_start(self, record: RequestRecord) -> None:
        """Count the request as in flight."""
        self._numbers[self._layout.in_flight + self._operations.get(record.operation, self._none)] += 1

    def on_end(self, record: RequestRecord) -> None:
        """Count the request as done."""
        numbers, layout = self._numbers, self._layout
        operation = self._operations.get(record.operation, self._none)
        if record.started:
            numbers[layout.in_flight + operation] -= 1
        row = layout.requests + operation * self._row + self._statuses.get(record.status, self._other_status)
        numbers[row + bisect_left(BUCKETS, record.seconds)] += 1
        numbers[row + _WIDTH - 1] += record.seconds
        if record.statements or record.wait_seconds:
            numbers[layout.statements + operation] += record.statements
            numbers[layout.database_seconds + operation] += record.database_seconds
            numbers[layout.wait_seconds] += record.wait_seconds
        if record.dry_run:
            numbers[layout.dry_runs + operation] += 1
        if record.code is not None:
            self.count_problem(record.code)
            if isinstance(record.error, Unauthorized):
                numbers[self._causes[refusal_cause(record.error)]] += 1
        if self._dropped_before != (dropped := self._dropped()):
            numbers[layout.dropped] += dropped - self._dropped_before
            self._dropped_before = dropped

    def count_problem(self, code: str) -> None:
        """Count a problem by its code."""
        self._numbers[self._codes.get(code, self._codes[OTHER])] += 1


def refusal_cause(error: Unauthorized) -> str:
    """Return why a token was refused, in one word; `missing` if none was sent."""
    if not error.token_sent:
        return _MISSING
    cause = error.cause or CAUSES.get(type(error.__cause__).__name__, OTHER)
    return cause if cause in _CAUSES else OTHER


class Exposition(Collector):
    """Adds up all slots for Prometheus."""

    def __init__(self, counters: SharedCounters) -> None:
        self._counters = counters
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def text(self) -> bytes:
        """Return the metrics in Prometheus's text format, version 0.0.4."""
        return generate_latest(self._registry)

    def describe(self) -> list[Metric]:
        """Return nothing: the registry asks at registration, when no values exist yet."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield every metric family."""
        counters, layout = self._counters, self._counters.layout
        slots = [numbers for number in range(counters.slots) if (numbers := counters[number])[layout.started]]
        totals = [sum(column) for column in zip(*slots, strict=True)] or [0.0] * layout.size
        yield _requests(layout, totals)
        for metric in layout.metrics:
            family = metric.family(metric.name, metric.text, labels=[metric.label] if metric.label else [])
            for value, number in zip(metric.values, totals[metric.start :], strict=False):
                family.add_metric([value] if metric.label else [], number)
            yield family
        build = GaugeMetricFamily("todo_api_build_info", "Which build this is", labels=["version", "python"])
        build.add_metric([_VERSION, _PYTHON], 1)
        yield build
        yield from _processes([int(numbers[layout.process]) for numbers in slots])


def _requests(layout: CounterLayout, totals: Sequence[float]) -> Metric:
    family = HistogramMetricFamily(
        "todo_api_request_duration_seconds",
        "Requests and their durations, by operation and status; 499 if the client disconnected before the reply",
        labels=["operation", "status"],
    )
    bounds = [*map(str, BUCKETS), "+Inf"]
    index = layout.requests
    for operation in layout.labels.operations:
        for status in layout.labels.statuses:
            *counts, seconds = totals[index : index + _WIDTH]
            index += _WIDTH
            if any(counts):
                buckets = list(zip(bounds, accumulate(counts), strict=True))
                family.add_metric([operation, status], buckets, seconds)
    return family


def _processes(numbers: list[int]) -> Iterator[Metric]:
    """Yield the library's process metrics of each worker, labelled with its slot."""
    yield GaugeMetricFamily("todo_api_workers", "Workers that serve", sum(map(bool, numbers)))
    families: dict[str, Metric] = {}
    for slot, number in enumerate(numbers):
        if number:
            for metric in ProcessCollector(pid=partial(int, number), registry=None).collect():
                family = families.setdefault(metric.name, Metric(metric.name, metric.documentation, metric.type))
                for sample in metric.samples:
                    family.add_sample(sample.name, {"worker": str(slot)}, sample.value)
    yield from families.values()


_VERSION = version("todo-api")
_PYTHON = platform.python_version()
