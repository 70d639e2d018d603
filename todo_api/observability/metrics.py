"""Metrics of all workers, for Prometheus.

Each number has a fixed place in memory that the processes share, made before the first worker; each worker has a slot there and
writes nowhere else, so that nothing is locked and a count costs as much as an addition. Any worker adds the slots up when it
is asked. A worker that dies leaves its slot to the next, which counts on from there: counts only rise. The library's own mode for
several processes does the same with a file for each process that ever was, at ten times the cost for each request.

Labels come from the contracts and from tables of ours, never from what was sent.
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
from typing import NamedTuple

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from todo_api.errors import Unauthorized
from todo_api.observability.request_record import ABANDONED, NONE, OTHER, PAGE, Exchange

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.35, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds in seconds. The limits that the product's plans name, 0.15, 0.2 and 0.5, are among them."""

STATUSES = (200, 201, 204, 304, 307, ABANDONED)
"""Those that are no problem's."""

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
"""Why a token is refused, by the error of PyJWT behind the refusal, where the refusal does not say it itself."""

KEY_CAUSES = ("key_malformed", "key_unknown", "key_expired")
"""Why an API key is refused. One that was revoked is unknown."""

_CAUSES = frozenset((*CAUSES.values(), *KEY_CAUSES))
_MISSING = "missing"
_WIDTH = len(BUCKETS) + 2  # one more bucket for what is slower than all, and the sum


class Vocabulary(NamedTuple):
    """Every value that a label can have."""

    operations: tuple[str, ...]
    statuses: tuple[str, ...]
    codes: tuple[str, ...]
    causes: tuple[str, ...]


def vocabulary(
    contracts: Iterable[dict[str, dict[str, dict[str, dict[str, str]]]]], kinds: Iterable[tuple[int, str]]
) -> Vocabulary:
    """The labels' values, from the contracts and from the statuses and codes of all problems."""
    operations = [
        operation["operationId"]
        for contract in contracts
        for item in contract["paths"].values()
        for operation in item.values()
        if "operationId" in operation
    ]
    statuses, codes = zip(*kinds, strict=True)
    return Vocabulary(
        (*operations, PAGE, NONE),
        (*(str(status) for status in sorted({*STATUSES, *statuses})), OTHER),
        (*sorted(set(codes)), OTHER),
        (_MISSING, *sorted(_CAUSES), OTHER),
    )


class Layout:
    """Where in a slot which number is."""

    def __init__(self, words: Vocabulary) -> None:
        self.words = words
        self._size = 0
        self.requests = self._take(len(words.operations) * len(words.statuses) * _WIDTH)
        self.statements = self._take(len(words.operations))
        self.database_seconds = self._take(len(words.operations))
        self.waited = self._take(1)
        self.codes = self._take(len(words.codes))
        self.causes = self._take(len(words.causes))
        self.dropped = self._take(1)
        self.started = self._take(1)
        self.gauges = self._size
        self.in_flight = self._take(len(words.operations))
        self.pool_size = self._take(1)
        self.pool_in_use = self._take(1)
        self.process = self._take(1)
        self.size = self._size

    def _take(self, count: int) -> int:
        start = self._size
        self._size += count
        return start


class Memory:
    """The slots of all workers. Made before they are; slots are given out and taken back by the process that made it."""

    def __init__(self, layout: Layout, slots: int) -> None:
        self.layout = layout
        self.slots = slots
        self._numbers = memoryview(mmap.mmap(-1, slots * layout.size * 8)).cast("d")
        self._taken: set[int] = set()

    def take(self) -> int:
        """A slot that nobody has. Raises StopIteration where there is none."""
        slot = next(number for number in range(self.slots) if number not in self._taken)
        self._taken.add(slot)
        self[slot][self.layout.started] += 1
        return slot

    def give_back(self, slot: int) -> None:
        """Takes back the slot of a worker that is no more: what it counted stays, what it was doing does not."""
        numbers = self[slot]
        for place in range(self.layout.gauges, self.layout.size):
            numbers[place] = 0.0
        self._taken.discard(slot)

    def __getitem__(self, slot: int) -> "memoryview[float]":
        return self._numbers[slot * self.layout.size : (slot + 1) * self.layout.size]


class Recorder:
    """Watches the exchanges of one worker, and writes into its slot."""

    def __init__(self, memory: Memory, slot: int, dropped: Callable[[], int] = lambda: 0) -> None:
        """`dropped` tells how many log lines this process has dropped so far."""
        layout = memory.layout
        self._numbers = memory[slot]
        self._layout = layout
        words = layout.words
        self._operations = {name: number for number, name in enumerate(words.operations)}
        self._none = self._operations[NONE]
        self._statuses = {int(text): number * _WIDTH for number, text in enumerate(words.statuses) if text != OTHER}
        self._other_status = words.statuses.index(OTHER) * _WIDTH
        self._row = len(words.statuses) * _WIDTH
        self._codes = {code: layout.codes + number for number, code in enumerate(words.codes)}
        self._causes = {cause: layout.causes + number for number, cause in enumerate(words.causes)}
        self._dropped = dropped
        self._dropped_before = dropped()
        self._lock = threading.Lock()
        self._numbers[layout.process] = os.getpid()

    def connections(self, size: int) -> None:
        """How many connections the pool may have."""
        self._numbers[self._layout.pool_size] = size

    def connection_used(self, change: int) -> None:
        """One more or one less is in use. From any thread."""
        with self._lock:
            self._numbers[self._layout.pool_in_use] += change

    def entered(self, exchange: Exchange) -> None:
        """Counts it as in flight."""
        self._numbers[self._layout.in_flight + self._operations.get(exchange.operation, self._none)] += 1

    def ended(self, exchange: Exchange) -> None:
        """Counts it as done."""
        numbers, layout = self._numbers, self._layout
        operation = self._operations.get(exchange.operation, self._none)
        if exchange.entered:
            numbers[layout.in_flight + operation] -= 1
        row = layout.requests + operation * self._row + self._statuses.get(exchange.status, self._other_status)
        numbers[row + bisect_left(BUCKETS, exchange.seconds)] += 1
        numbers[row + _WIDTH - 1] += exchange.seconds
        if exchange.statements or exchange.waited:
            numbers[layout.statements + operation] += exchange.statements
            numbers[layout.database_seconds + operation] += exchange.database_seconds
            numbers[layout.waited] += exchange.waited
        if exchange.code is not None:
            self.rejected(exchange.code)
            if isinstance(exchange.error, Unauthorized):
                numbers[self._causes[refusal_cause(exchange.error)]] += 1
        if self._dropped_before != (dropped := self._dropped()):
            numbers[layout.dropped] += dropped - self._dropped_before
            self._dropped_before = dropped

    def rejected(self, code: str) -> None:
        """Counts a problem that was told."""
        self._numbers[self._codes.get(code, self._codes[OTHER])] += 1


def refusal_cause(error: Unauthorized) -> str:
    """Return in one word why a token was refused; `missing` if there was none."""
    if not error.token_sent:
        return _MISSING
    cause = error.cause or CAUSES.get(type(error.__cause__).__name__, OTHER)
    return cause if cause in _CAUSES else OTHER


class Exposition(Collector):
    """All slots, added up, as Prometheus reads them."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def text(self) -> bytes:
        """The metrics in Prometheus's text format, version 0.0.4."""
        return generate_latest(self._registry)

    def describe(self) -> list[Metric]:
        """Nothing: asked for at registration, and what is there is known only later."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Every family."""
        memory, layout = self._memory, self._memory.layout
        slots = [numbers for number in range(memory.slots) if (numbers := memory[number])[layout.started]]
        totals = [sum(column) for column in zip(*slots, strict=True)] or [0.0] * layout.size
        yield _requests(layout, totals)
        yield from _by_operation(layout, totals)
        yield _counter("rejections", "Problems told, by code", "code", layout.words.codes, totals[layout.codes :])
        yield _counter(
            "tokens_refused", "Tokens refused, by cause", "cause", layout.words.causes, totals[layout.causes :]
        )
        yield from _single(layout, totals)
        yield from _processes([int(numbers[layout.process]) for numbers in slots])


def _requests(layout: Layout, totals: Sequence[float]) -> Metric:
    family = HistogramMetricFamily(
        "todo_api_request_duration_seconds",
        "Requests and their durations, by operation and status; 499 where the caller left before the reply",
        labels=["operation", "status"],
    )
    bounds = [*map(str, BUCKETS), "+Inf"]
    place = layout.requests
    for operation in layout.words.operations:
        for status in layout.words.statuses:
            *counts, seconds = totals[place : place + _WIDTH]
            place += _WIDTH
            if any(counts):
                buckets = list(zip(bounds, accumulate(counts), strict=True))
                family.add_metric([operation, status], buckets, seconds)
    return family


def _by_operation(layout: Layout, totals: Sequence[float]) -> Iterator[Metric]:
    operations = layout.words.operations
    in_flight = GaugeMetricFamily("todo_api_requests_in_flight", "Requests being answered", labels=["operation"])
    for operation, count in zip(operations, totals[layout.in_flight :], strict=False):
        in_flight.add_metric([operation], count)
    yield in_flight
    yield _counter("database_statements", "Statements sent", "operation", operations, totals[layout.statements :])
    text = "Seconds that statements took"
    yield _counter("database_seconds", text, "operation", operations, totals[layout.database_seconds :])


def _counter(name: str, text: str, label: str, values: Sequence[str], counts: Sequence[float]) -> Metric:
    family = CounterMetricFamily(f"todo_api_{name}", text, labels=[label])
    for value, count in zip(values, counts, strict=False):
        family.add_metric([value], count)
    return family


def _single(layout: Layout, totals: Sequence[float]) -> Iterator[Metric]:
    counters = {
        "database_wait_seconds": ("Seconds of waiting for a connection", layout.waited),
        "log_lines_dropped": ("Log lines that nobody read in time", layout.dropped),
        "worker_starts": ("Workers started so far", layout.started),
    }
    for name, (text, place) in counters.items():
        yield CounterMetricFamily(f"todo_api_{name}", text, totals[place])
    gauges = {
        "database_connections": ("Connections that the pools may have", layout.pool_size),
        "database_connections_in_use": ("Connections of the pools in use", layout.pool_in_use),
    }
    for name, (text, place) in gauges.items():
        yield GaugeMetricFamily(f"todo_api_{name}", text, totals[place])
    build = GaugeMetricFamily("todo_api_build_info", "Which build this is", labels=["version", "python"])
    build.add_metric([_VERSION, _PYTHON], 1)
    yield build


def _processes(numbers: list[int]) -> Iterator[Metric]:
    """The library's metrics of a process, for each worker, by its slot."""
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
