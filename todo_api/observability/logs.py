"""Logs: one line for each event, as JSON or for reading, on stderr, from a thread of its own, and with nothing personal in them.

structlog makes the lines. Those of the standard library, gunicorn's among them, take the same way. What was sent never gets into a
line: paths are the contract's templates, users are digests, and of an exception only its kind and its place are told, because
its message may quote what was sent.
"""

import atexit
import logging
import os
import select
import threading
from collections import deque
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from functools import partial
from hashlib import blake2b
from http import HTTPStatus
from typing import NamedTuple

import orjson
import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor

from todo_api.errors import Unauthorized
from todo_api.observability.exceptions import chain, describe
from todo_api.observability.metrics import refusal_cause
from todo_api.observability.request_record import Exchange

CAPACITY = 10_000
"""How many lines may wait. What comes then is dropped, and counted."""

GATHERING = 0.05
"""Seconds for which lines gather before they are written: a wake-up for each would cost more than all the rest."""

ATOMIC = 4096
"""How many bytes a pipe takes in one piece, so that the lines of several processes do not mix (POSIX, write)."""

LAST_WORDS = 2
"""Seconds that the end of the process waits for its last lines to be written."""

_log = logging.getLogger(__name__)

Line = bytes | Callable[[], bytes]


class Sink:
    """Lines on their way to a file descriptor. Handing one over never waits, whoever reads at the other end."""

    def __init__(self, descriptor: int = 2) -> None:
        self._dropped = 0
        self._descriptor = descriptor
        self._begin()
        os.register_at_fork(after_in_child=self._begin)
        atexit.register(self.close)

    def _begin(self) -> None:
        """Anew in each process: lines that wait at a fork are the parent's."""
        self._lines: deque[Line] = deque()
        self._left = b""
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def write(self, line: Line) -> None:
        """Takes a line without its end, or what makes it."""
        if len(self._lines) >= CAPACITY:
            self._dropped += 1
            return
        self._lines.append(line)
        if not self._wake.is_set():
            self._wake.set()
            if self._thread is None:
                self._start()

    debug = info = warning = error = critical = write

    def dropped(self) -> int:
        """How many lines were dropped so far."""
        return self._dropped

    def close(self) -> None:
        """Writes what waits, for as long as `LAST_WORDS`."""
        self._closing.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(LAST_WORDS)

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="log", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        told = 0
        while not (self._closing.is_set() and not self._lines):
            self._wake.wait()
            self._closing.wait(GATHERING)
            self._wake.clear()
            while self._lines or self._left:
                self._put(self._piece())
            if self._dropped != told:
                _log.warning("log lines were dropped, because nobody read them", extra={"count": self._dropped - told})
                told = self._dropped

    def _piece(self) -> bytes:
        """As many whole lines as a pipe takes at once, at least one."""
        piece = bytearray(self._left)
        self._left = b""
        while self._lines and not self._left:
            made = self._lines.popleft()
            line = (made if isinstance(made, bytes) else made()) + b"\n"
            if piece and len(piece) + len(line) > ATOMIC:
                self._left = line
            else:
                piece += line
        return bytes(piece)

    def _put(self, piece: bytes) -> None:
        rest = memoryview(piece)
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:
                select.select([], [self._descriptor], [])
            except OSError:  # nobody is there to read
                self._dropped += piece.count(b"\n")
                return


class Handler(logging.Handler):
    """Takes the standard library's records to structlog."""

    def __init__(self, logger: FilteringBoundLogger) -> None:
        super().__init__()
        self._logger = logger
        self.discreet = False
        """Whether exceptions are told without their messages: from when requests are taken."""

    def emit(self, record: logging.LogRecord) -> None:
        """Writes a record. What is said of an exception holds for one among its arguments as well."""
        if isinstance(record.args, tuple):
            record.args = tuple(
                describe(each, discreet=self.discreet) if isinstance(each, BaseException) else each
                for each in record.args
            )
        fields = {name: value for name, value in record.__dict__.items() if name not in _OF_RECORDS}
        if record.exc_info and record.exc_info[1]:
            fields["exception"] = chain(record.exc_info[1], discreet=self.discreet)
        self._logger.log(record.levelno, record.getMessage(), logger=record.name, process=record.process, **fields)


_OF_RECORDS = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


class RequestLog:
    """Watches exchanges, and writes a line of each.

    The line is made where it is written: structlog's way took 30 to 50 microseconds amid a request, this one takes a few.
    """

    def __init__(self, log: "Logging", key: bytes) -> None:
        self._log = log
        self._key = blake2b(key, digest_size=32, person=b"log").digest()
        self._process = os.getpid()

    def begin(self) -> None:
        """Requests are taken from here on."""
        self._log.handler.discreet = True

    def entered(self, exchange: Exchange) -> None:
        """Nothing yet: there is one line a request."""

    def ended(self, exchange: Exchange) -> None:
        """Hands the line over."""
        if self._log.least <= _level(exchange.status):
            cause = refusal_cause(exchange.error) if isinstance(exchange.error, Unauthorized) else None
            self._log.sink.write(partial(self._line, exchange, cause))

    def _line(self, exchange: Exchange, cause: str | None) -> bytes:
        line: EventDict = {
            "time": datetime.fromtimestamp(exchange.ended_at, UTC),
            "level": _LEVELS[_level(exchange.status)],
            "event": "request",
            "operation": exchange.operation,
            "method": exchange.method,
            "route": exchange.route,
            "status": exchange.status,
            "duration_ms": round(exchange.seconds * 1000, 3),
            "request_id": exchange.request_id,
            "statements": exchange.statements,
            "database_ms": round((exchange.database_seconds + exchange.waited) * 1000, 3),
            "process": self._process,
        }
        if exchange.code is not None:
            line["code"] = exchange.code
        if cause is not None:
            line["cause"] = cause
        if exchange.subject is not None:
            line["user"] = self.digest(exchange.subject)
        if exchange.trace_id is not None:
            line["trace_id"], line["parent_id"] = exchange.trace_id, exchange.parent_id
        return self._log.render(line)

    def digest(self, subject: str) -> str:
        """The user in lines: the same for the same user and secret, and nothing to find the user by without the secret."""
        return blake2b(subject.encode(), key=self._key, digest_size=8).hexdigest()


class Logging(NamedTuple):
    """How this process logs: `render` makes a line of its members, `least` is the lowest level that is written."""

    sink: Sink
    handler: Handler
    render: Callable[[EventDict], bytes]
    least: int


_LEVELS = {logging.INFO: "info", logging.WARNING: "warning", logging.ERROR: "error"}


def _level(status: int) -> int:
    if status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return logging.INFO
    return logging.WARNING if status > HTTPStatus.INTERNAL_SERVER_ERROR else logging.ERROR


def configure(level: str, form: str) -> Logging:
    """Sends everything that this process logs to stderr, in one form, `json` or `text`."""
    sink, render, least = Sink(), FORMS[form], logging.getLevelNamesMapping()[level]
    processors: list[Processor] = [structlog.processors.add_log_level, _now, lambda _, __, line: render(line)]
    wrapper = structlog.make_filtering_bound_logger(least)
    logger: FilteringBoundLogger = structlog.wrap_logger(sink, processors=processors, wrapper_class=wrapper).bind()
    handler = Handler(logger)
    logging.captureWarnings(True)
    # What libraries say when debugging quotes what was sent: gunicorn's lines have the path.
    logging.basicConfig(level=max(least, logging.INFO), handlers=[handler], force=True)
    logging.getLogger("todo_api").setLevel(least)
    logging.getLogger("alembic").setLevel(max(least, logging.WARNING))
    return Logging(sink, handler, render, least)


def _now(_: object, __: str, line: EventDict) -> EventDict:
    line["time"] = datetime.now(UTC)
    return line


def _json(line: EventDict) -> bytes:
    try:
        return orjson.dumps(line, default=_type_name, option=orjson.OPT_UTC_Z)
    except TypeError:  # a lone surrogate
        return orjson.dumps({name: ascii(value) for name, value in line.items()})


def _type_name(value: object) -> str:
    return type(value).__name__


_OF_EVERY_LINE = frozenset({"time", "level", "event", "process", "logger"})


def _text(line: EventDict) -> bytes:
    """Return time, level and event, then what belongs to it. JSON also says which process and part of the program said it."""
    said = _request(line) if line["event"] == "request" else _other(line)
    time = line["time"].isoformat(" ", "milliseconds")[:23]
    return _one_line(f"{time}Z {line['level']:<7} {said}").encode(errors="backslashreplace")


def _request(line: EventDict) -> str:
    """Return `GET /me/tasks 200 3 ms`, and after a refusal what somebody who looks into it needs."""
    route = line["route"].removeprefix("/api/v1").replace("{user_id}", "me")
    said = f"{line['method']:<6} {route:<28} {line['status']} {line['duration_ms']:>5.0f} ms"
    if line["status"] < HTTPStatus.BAD_REQUEST:
        return said
    return f"{said} {_members(line, {'code', 'cause', 'request_id'})}"


def _other(line: EventDict) -> str:
    return f"{line['event']} {_members(line, line.keys() - _OF_EVERY_LINE)}".rstrip()


def _members(line: EventDict, names: AbstractSet[str]) -> str:
    return " ".join([f"{name}={value}" for name, value in line.items() if name in names])


def _one_line(text: str) -> str:
    """Escape whatever would end the line or change how a terminal shows it."""
    if text.isprintable():
        return text
    return "".join([each if each.isprintable() else ascii(each)[1:-1] for each in text])


FORMS: dict[str, Callable[[EventDict], bytes]] = {"json": _json, "text": _text}
"""What makes a line of its members, by the setting's value."""
