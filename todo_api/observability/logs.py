"""Logs: one line per event on stderr, as JSON or text, written by a thread, without personal data.

`LogHandler` makes the lines of the standard library's logging, `RequestLog` those of requests. A
line never contains what a client sent: paths are the contract's templates, users are digests, and
an exception is reported by its type and place, since its message may quote a value.
"""

import atexit
import logging
import os
import select
import sys
import threading
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache, partial
from hashlib import blake2b
from http import HTTPStatus
from typing import Any, NamedTuple

import orjson

from todo_api.errors import Unauthorized
from todo_api.observability.exceptions import chain, describe
from todo_api.observability.metrics import refusal_cause
from todo_api.observability.request_record import RequestRecord

MAX_QUEUED_LINES = 10_000
"""Maximum number of lines that wait. Further ones are dropped and counted."""

FLUSH_INTERVAL = 0.05
"""Seconds between writes: waking the thread for each line would cost more than all the rest."""

SHUTDOWN_TIMEOUT = 2
"""Seconds that the end of the process waits for its last lines to be written."""

_log = logging.getLogger(__name__)

Line = bytes | Callable[[], bytes]

Fields = dict[str, Any]
"""The fields of a line by name, among them its `time`, `level` and `event`."""


class LogWriter:
    """Writes lines to a file descriptor by a thread. Queueing a line never blocks."""

    def __init__(self, descriptor: int = 2) -> None:
        self._dropped = 0
        self._descriptor = descriptor
        self._reset()
        os.register_at_fork(after_in_child=self._reset)
        atexit.register(self.close)

    def _reset(self) -> None:
        """Start with an empty queue, also after a fork: the parent writes the lines that waited."""
        self._lines: deque[Line] = deque()
        self._unwritten = b""
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def write(self, line: Line) -> None:
        """Queue a line without its end, or a function that makes it."""
        if len(self._lines) >= MAX_QUEUED_LINES:
            self._dropped += 1
            return
        self._lines.append(line)
        if not self._wake.is_set():
            self._wake.set()
            if self._thread is None:
                self._start()

    def dropped(self) -> int:
        """Return the number of lines dropped so far."""
        return self._dropped

    def close(self) -> None:
        """Write what waits, for at most `SHUTDOWN_TIMEOUT`."""
        self._closing.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(SHUTDOWN_TIMEOUT)

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="log", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        reported = 0
        while not (self._closing.is_set() and not self._lines):
            self._wake.wait()
            self._closing.wait(FLUSH_INTERVAL)
            self._wake.clear()
            while self._lines or self._unwritten:
                self._write_all(self._next_chunk())
            if self._dropped != reported:
                _log.warning(
                    "log lines were dropped: nobody read them in time", extra={"count": self._dropped - reported}
                )
                reported = self._dropped

    def _next_chunk(self) -> bytes:
        """Return as many whole lines as a pipe takes in one piece, at least one.

        So lines of several processes do not mix (POSIX, write).
        """
        chunk = bytearray(self._unwritten)
        self._unwritten = b""
        while self._lines and not self._unwritten:
            made = self._lines.popleft()
            line = (made if isinstance(made, bytes) else made()) + b"\n"
            if chunk and len(chunk) + len(line) > select.PIPE_BUF:
                self._unwritten = line
            else:
                chunk += line
        return bytes(chunk)

    def _write_all(self, chunk: bytes) -> None:
        rest = memoryview(chunk)
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:
                select.select([], [self._descriptor], [])
            except OSError:  # stderr is closed at the other end
                self._dropped += chunk.count(b"\n")
                return


class LogHandler(logging.Handler):
    """Makes the fields of a line from each record of the standard library's logging."""

    def __init__(self, write: Callable[[Fields], None]) -> None:
        super().__init__()
        self._write = write
        self.redact = False
        """Whether to leave out messages of exceptions. True once requests are served."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record. Describe exceptions among its arguments as its own one."""
        if isinstance(record.args, tuple):
            record.args = tuple(
                describe(each, redact=self.redact) if isinstance(each, BaseException) else each for each in record.args
            )
        line: Fields = {"logger": record.name, "process": record.process}
        line |= {name: value for name, value in record.__dict__.items() if name not in _STANDARD_FIELDS}
        if record.exc_info and record.exc_info[1]:
            line["exception"] = chain(record.exc_info[1], redact=self.redact)
        line |= {"event": record.getMessage(), "level": record.levelname.lower(), "time": datetime.now(UTC)}
        self._write(line)


_STANDARD_FIELDS = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


class RequestLog:
    """Observer that logs one line per request.

    The log thread makes the line, so that the request does not wait for it.
    """

    def __init__(self, log: "LogConfig", key: bytes) -> None:
        self._log = log
        self._key = blake2b(key, digest_size=32, person=b"log").digest()
        self._process = os.getpid()

    def start_redacting(self) -> None:
        """Leave out messages of exceptions from now on: requests are served."""
        self._log.handler.redact = True

    def on_start(self, record: RequestRecord) -> None:
        """Do nothing: there is one line per request."""

    def on_end(self, record: RequestRecord) -> None:
        """Queue the line."""
        if self._log.level <= _level(record.status):
            cause = refusal_cause(record.error) if isinstance(record.error, Unauthorized) else None
            self._log.writer.write(partial(self._line, record, cause))

    def _line(self, record: RequestRecord, cause: str | None) -> bytes:
        if self._log.render is _text:  # it shows little, and what it does not show takes most of the time
            return _text_of_request(record, cause)
        line: Fields = {
            "time": datetime.fromtimestamp(record.ended_at, UTC),
            "level": _LEVELS[_level(record.status)],
            "event": "request",
            "operation": record.operation,
            "method": record.method,
            "route": record.route,
            "status": record.status,
            "duration_ms": round(record.seconds * 1000, 3),
            "request_id": record.request_id,
            "statements": record.statements,
            "database_ms": round((record.database_seconds + record.wait_seconds) * 1000, 3),
            "process": self._process,
        }
        if record.dry_run:
            line["dry_run"] = True
        if record.code is not None:
            line["code"] = record.code
        if cause is not None:
            line["cause"] = cause
        if record.subject is not None:
            line["user"] = self.digest(record.subject)
        if record.trace_id is not None:
            line["trace_id"], line["parent_id"] = record.trace_id, record.parent_id
        return self._log.render(line)

    def digest(self, subject: str) -> str:
        """Return the user's digest. Only with the secret can users be recognized by it."""
        return blake2b(subject.encode(), key=self._key, digest_size=8).hexdigest()


class LogConfig(NamedTuple):
    """Log of this process. `render` makes a line of its fields; `level` is the lowest written."""

    writer: LogWriter
    handler: LogHandler
    render: Callable[[Fields], bytes]
    level: int


_LEVELS = {logging.INFO: "info", logging.WARNING: "warning", logging.ERROR: "error"}


_REFUSED = int(HTTPStatus.BAD_REQUEST)  # looked up once: a member of an enumeration costs a microsecond
_FAILED = int(HTTPStatus.INTERNAL_SERVER_ERROR)


def _level(status: int) -> int:
    """Return the level of a request: 500 is a fault of ours, 503 and the like are a state."""
    if status < _FAILED:
        return logging.INFO
    return logging.WARNING if status > _FAILED else logging.ERROR


def configure(level: str, output: str) -> LogConfig:
    """Send all logs of this process to stderr, as `json` or `text`."""
    writer, render, lowest = LogWriter(), RENDERERS[output], logging.getLevelNamesMapping()[level]
    handler = LogHandler(lambda line: writer.write(render(line)))
    handler.setLevel(lowest)
    logging.captureWarnings(True)
    # Debug lines of libraries quote what clients sent: gunicorn's have the path.
    logging.basicConfig(level=max(lowest, logging.INFO), handlers=[handler], force=True)
    logging.getLogger("todo_api").setLevel(lowest)
    logging.getLogger("alembic").setLevel(max(lowest, logging.WARNING))
    if output == "text" and sys.stderr.isatty():  # gunicorn's steps say nothing to a person
        logging.getLogger("gunicorn").setLevel(max(lowest, logging.WARNING))
    return LogConfig(writer, handler, render, lowest)


def _json(line: Fields) -> bytes:
    try:
        return orjson.dumps(line, default=_type_name, option=orjson.OPT_UTC_Z)
    except TypeError:  # a lone surrogate
        return orjson.dumps({name: ascii(value) for name, value in line.items()})


def _type_name(value: object) -> str:
    return type(value).__name__


_COMMON_FIELDS = frozenset({"time", "level", "event", "process", "logger"})


def _text(line: Fields) -> bytes:
    """Return time, level, event and its fields. Only JSON has the process and the logger."""
    names = line.keys() - _COMMON_FIELDS
    text = f"{line['event']} {_members({name: value for name, value in line.items() if name in names})}"
    return _text_line(line["time"].timestamp(), line["level"], text.rstrip())


def _text_of_request(record: RequestRecord, cause: str | None) -> bytes:
    """Return `GET /me/tasks 200 3 ms`, with `dry_run` if it was one.

    A refusal has code, cause and request id as well.
    """
    text = f"{_place(record.method, record.route)} {record.status} {record.seconds * 1000:>5.0f} ms"
    if record.dry_run:
        text = f"{text} dry_run"
    if record.status >= _REFUSED:
        told = {"request_id": record.request_id, "code": record.code, "cause": cause}
        text = f"{text} {_members({name: value for name, value in told.items() if value is not None})}"
    return _text_line(record.ended_at, _LEVELS[_level(record.status)], text)


@lru_cache(maxsize=1024)
def _place(method: str, route: str) -> str:
    route = route.removeprefix("/api/v1").replace("{user_id}", "me")
    return f"{method:<6} {route:<28}"


def _members(members: Fields) -> str:
    return " ".join([f"{name}={value}" for name, value in members.items()])


def _text_line(time: float, level: str, text: str) -> bytes:
    """Return a line, with escapes for what would end it or change how a terminal shows it."""
    second, microseconds = divmod(round(time * 1_000_000), 1_000_000)
    line = f"{_second(second)}.{microseconds // 1000:03}Z {level:<7} {text}"
    if not line.isprintable():
        line = "".join([each if each.isprintable() else ascii(each)[1:-1] for each in line])
    return line.encode(errors="backslashreplace")


@lru_cache(maxsize=1)
def _second(time: int) -> str:
    """Return a time as text. It is kept for the further lines of this second."""
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M:%S")


RENDERERS: dict[str, Callable[[Fields], bytes]] = {"json": _json, "text": _text}
"""Functions that make a line of its fields, by the setting's value."""
