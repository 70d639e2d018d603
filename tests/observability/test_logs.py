"""Logs: one line a request, parseable, with nothing personal, and never in anybody's way."""

import json
import logging
import os
import re
import select
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from tests.support.credentials import SECRET, token
from tests.support.databases import execute
from tests.support.live import Live
from tests.support.processes import soon
from todo_api.errors import Unauthorized
from todo_api.observability import logs, request_record
from todo_api.observability.request_record import RequestRecord

TASKS = "/api/v1/me/tasks"
KEYS = "/api/v1/me/keys"
TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
PERSONAL = {
    "email": "walrus.email@example.com",
    "password": "walrus-password-Xk2",
    "name": "Walrus Name",
    "title": "walrus-title",
    "description": "walrus-description",
    "search": "walrus-search",
    "path": "walrus-path",
    "subject": "walrus-subject@example.com",
}


@contextmanager
def serving(url: str, folder: Path, **settings: str) -> Iterator[Live]:
    with Live(folder, DATABASE_URL=url, JWT_SECRET=SECRET, **settings) as service:
        yield service.ready()


@pytest.fixture(scope="module")
def live(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with serving(url, tmp_path_factory.mktemp("logs"), LOG_FORMAT="json") as service:
        yield service


def lines(service: Live) -> list[dict[str, Any]]:
    """Every whole line that it has logged so far; fails where one is no JSON object."""
    return [dict(json.loads(line)) for line in service.output().splitlines(keepends=True) if line.endswith("\n")]


def line_of(service: Live, request_id: str) -> dict[str, Any]:
    """The one line of a request, once there is one."""

    def found() -> list[dict[str, Any]]:
        return [each for each in lines(service) if each.get("request_id") == request_id and each["event"] == "request"]

    assert soon(lambda: bool(found()))
    time.sleep(4 * logs.FLUSH_INTERVAL)  # for a second one
    (line,) = found()
    return line


def test_log_of_a_request_says_how_it_went(live: Live) -> None:
    reply = live.request("POST", TASKS, b'{"title": "x"}', "X-Request-ID: one", token=token("ada"))
    assert reply.status == 201
    line = line_of(live, "one")
    figures = {name: line.pop(name) for name in ("duration_ms", "database_ms", "process", "time", "user")}
    assert line == {
        "event": "request",
        "level": "info",
        "operation": "createTask",
        "method": "POST",
        "route": "/api/v1/{user_id}/tasks",
        "status": 201,
        "request_id": "one",
        "statements": 1,
    }
    assert 0 < figures["database_ms"] < figures["duration_ms"] < 10_000
    assert figures["process"] in live.workers()
    assert figures["time"].endswith("Z")


def test_log_of_a_dry_run_says_that_it_was_one(live: Live) -> None:
    for name, query in (("tried", "?dry_run=true"), ("written", "?dry_run=false")):
        assert live.request("POST", f"{TASKS}{query}", b'{"title": "x"}', f"X-Request-ID: {name}", token=token("ada"))
    tried, written = line_of(live, "tried"), line_of(live, "written")
    assert (tried["status"], tried["dry_run"]) == (201, True)
    assert "dry_run" not in written


def test_log_of_a_request_with_an_api_key_counts_its_look_up_and_names_its_user(live: Live) -> None:
    ada = token("ada")
    key = live.request("POST", KEYS, b'{"name": "x", "scopes": ["tasks:read"]}', token=ada).json()["key"]
    for name, bearer in (("with-key", key), ("with-token", ada)):
        assert live.request("GET", TASKS, b"", f"X-Request-ID: {name}", token=bearer).status == 200
    with_key, with_token = line_of(live, "with-key"), line_of(live, "with-token")
    assert (with_key["statements"], with_token["statements"]) == (2, 1)
    assert with_key["user"] == with_token["user"]


def test_log_of_a_user_has_the_same_digest_and_that_of_another_a_different_one(live: Live) -> None:
    for name, user in (("first", "ada"), ("again", "ada"), ("other", "bob")):
        live.request("GET", TASKS, b"", f"X-Request-ID: user-{name}", token=token(user))
    first, again, other = [line_of(live, f"user-{name}")["user"] for name in ("first", "again", "other")]
    assert first == again
    assert first != other


def test_log_of_a_refusal_has_its_code_and_no_user(live: Live) -> None:
    live.request("GET", TASKS, b"", "X-Request-ID: refused")
    line = line_of(live, "refused")
    assert (line["status"], line["code"], "user" in line) == (401, "unauthorized", False)


@pytest.mark.parametrize(
    ("changes", "cause"),
    [({"issuer": "another"}, "issuer"), ({"audience": "another"}, "audience"), ({"lifetime": -3600}, "expired")],
)
def test_log_of_a_refused_token_says_why(live: Live, changes: dict[str, Any], cause: str) -> None:
    live.request("GET", TASKS, b"", f"X-Request-ID: cause-{cause}", token=token("ada", **changes))
    line = line_of(live, f"cause-{cause}")
    assert (line["code"], line["cause"]) == ("unauthorized", cause)


def test_log_of_a_request_without_a_token_says_that_it_is_missing(live: Live) -> None:
    live.request("GET", TASKS, b"", "X-Request-ID: cause-missing")
    assert line_of(live, "cause-missing")["cause"] == "missing"


def test_log_of_a_request_that_is_no_http_has_its_line(live: Live) -> None:
    request_id = live.request("GET /nowhere", "/").json()["request_id"]
    line = line_of(live, request_id)
    assert (line["operation"], line["method"], line["status"]) == ("none", "other", 400)


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        (f"00-{TRACE}-{SPAN}-01", (TRACE, SPAN)),
        (f"cc-{TRACE}-{SPAN}-01-later", (TRACE, SPAN)),
        (f"00-{TRACE}-{SPAN}-01-later", (None, None)),
        (f"ff-{TRACE}-{SPAN}-01", (None, None)),
        (f"00-{'0' * 32}-{SPAN}-01", (None, None)),
        (f"00-{TRACE}-{'0' * 16}-01", (None, None)),
        (f"00-{TRACE.upper()}-{SPAN}-01", (None, None)),
        ("walrus", (None, None)),
    ],
)
def test_log_carries_the_trace_that_the_caller_named(
    live: Live, field: str, expected: tuple[str | None, str | None]
) -> None:
    request_id = live.request("GET", "/health/live", b"", f"traceparent: {field}").headers["x-request-id"]
    line = line_of(live, request_id)
    assert (line.get("trace_id"), line.get("parent_id")) == expected


def sessions(service: Live, credentials: bytes) -> list[str]:
    """The tokens of a session that is refreshed, replayed and ended."""
    ask = service.request
    first = ask("POST", "/api/v1/auth/token", credentials).json()
    body = json.dumps({"refresh_token": first["refresh_token"]}).encode()
    second = ask("POST", "/api/v1/auth/refresh", body).json()
    assert ask("POST", "/api/v1/auth/refresh", body).status == 401
    assert ask("POST", "/api/v1/auth/refresh", body[:-3]).status == 400
    assert ask("POST", "/api/v1/auth/sign-out", body).status == 204
    return [tokens[name] for tokens in (first, second) for name in ("access_token", "refresh_token")]


def every_operation(service: Live) -> list[str]:
    """Does every operation, and what can go wrong with it, with recognisable values. Gives the tokens that were issued."""
    body = {name: PERSONAL[name] for name in ("email", "password", "name")}
    task = {name: PERSONAL[name] for name in ("title", "description")}
    ask = service.request
    assert ask("POST", "/api/v1/auth/register", json.dumps(body).encode()).status == 201
    assert ask("POST", "/api/v1/auth/register", json.dumps(body).encode()).status == 409
    credentials = {name: body[name] for name in ("email", "password")}
    assert ask("POST", "/api/v1/auth/token", json.dumps(credentials).encode()).status == 200
    wrong = credentials | {"password": PERSONAL["password"] + "-wrong"}
    assert ask("POST", "/api/v1/auth/token", json.dumps(wrong).encode()).status == 401
    bearer = token(PERSONAL["subject"])
    content = json.dumps(task).encode()
    made = ask("POST", TASKS, content, token=bearer)
    one = f"{TASKS}/{made.json()['id']}"
    statuses = [
        ask("GET", f"{TASKS}?q={PERSONAL['search']}", token=bearer).status,
        ask("GET", one, token=bearer).status,
        ask("PUT", one, content, token=bearer).status,
        ask("PATCH", one, content, token=bearer).status,
        ask("PATCH", f"{one}/complete", b"", token=bearer).status,
        ask("GET", "/api/v1/me/account", token=bearer).status,
        ask("GET", f"/api/v1/{PERSONAL['subject']}/tasks", token=bearer).status,
        ask("PATCH", one, content, 'If-Match: "0"', token=bearer).status,
        ask("POST", TASKS, json.dumps(task | {"walrus-member": PERSONAL["title"]}).encode(), token=bearer).status,
        ask("POST", TASKS, PERSONAL["title"].encode(), token=bearer).status,
        ask("GET", f"{TASKS}/{PERSONAL['path']}", token=bearer).status,
        ask("GET", f"/{PERSONAL['path']}", token=bearer).status,
        ask(PERSONAL["title"].upper(), one, token=bearer).status,
        ask("GET", f"/api/v1/{PERSONAL['path']}/tasks", token=bearer).status,
        ask("GET", TASKS, token=f"{bearer}walrus-token").status,
        ask("DELETE", one, token=bearer).status,
    ]
    assert statuses == [200, 200, 200, 200, 200, 200, 200, 412, 400, 400, 400, 404, 405, 403, 401, 204]
    return [with_api_key(service, bearer), *sessions(service, json.dumps(credentials).encode())]


def with_api_key(service: Live, bearer: str) -> str:
    """Makes a key with recognisable values, uses it well and badly, and ends it."""
    ask = service.request
    content = json.dumps({"name": PERSONAL["title"], "scopes": ["tasks:read"]}).encode()
    made = ask("POST", KEYS, content, token=bearer).json()
    key = str(made["key"])
    statuses = [
        ask("GET", KEYS, token=bearer).status,
        ask("GET", TASKS, token=key).status,
        ask("GET", f"{TASKS}/{key}", token=key).status,
        ask("POST", TASKS, b"{}", token=key).status,
        ask("GET", TASKS, token=f"{key}x").status,
        ask("DELETE", f"{KEYS}/{made['id']}", token=bearer).status,
        ask("GET", TASKS, token=key).status,
    ]
    assert statuses == [200, 200, 400, 403, 401, 204, 401]
    return key


def test_log_and_metrics_of_every_operation_hold_nothing_personal(new_database: Any, tmp_path: Path) -> None:
    """Also where a fault quotes it: PostgreSQL's message names the whole row that breaks a constraint."""
    url = new_database()
    with serving(url, tmp_path, LOG_FORMAT="json", LOG_LEVEL="DEBUG") as service:
        issued = every_operation(service)
        execute(url, "ALTER TABLE tasks ADD CONSTRAINT odd CHECK (title NOT LIKE 'walrus%')")
        content = json.dumps({name: PERSONAL[name] for name in ("title", "description")}).encode()
        bearer = token(PERSONAL["subject"])
        fault = service.request("POST", TASKS, content, "X-Request-ID: fault", token=bearer)
        assert (fault.status, b"walrus" in fault.body) == (500, False)
        metrics = service.request("GET", "/metrics").body.decode()
        assert service.end() == 0
        written = service.output()
    assert "psycopg2.errors.CheckViolation (23514, odd) at todo_api/" in written
    assert '"request_id":"fault"' in written
    secrets = [bearer, SECRET, *issued, *(token[4:47] for token in issued if token.startswith("tdr_"))]
    assert len(secrets) == 9
    assert [name for name in (*PERSONAL.values(), "walrus") if name in written.lower() + metrics] == []
    assert [secret for secret in secrets if secret in written + metrics] == []


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    os.close(reader)
    os.close(writer)


def written(pipe: tuple[int, int], form: str, least: int, *statuses: int, **known: object) -> list[str]:
    """Return the lines of requests that took 3 ms and ended with these statuses."""
    reader, writer = pipe
    sink = logs.LogWriter(writer)
    handler = logs.LogHandler(lambda _: None)
    log = logs.RequestLog(logs.LogConfig(sink, handler, logs.RENDERERS[form], least), b"key")
    for status in statuses:
        record = RequestRecord("GET", "seen", None, (log,), started_at=0)
        record.start("getTask", "/api/v1/{user_id}/tasks/{task_id}")
        record.status = status
        for name, value in known.items():
            setattr(record, name, value)
        with patch.object(request_record, "perf_counter", lambda: 0.003):
            record.end()
    sink.close()
    os.write(writer, b"end")
    return os.read(reader, 65536).decode().splitlines()[:-1]


def test_log_in_text_of_a_request_that_went_well_is_short(pipe: tuple[int, int]) -> None:
    (line,) = written(pipe, "text", logging.INFO, 200)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}Z ", line[:25])
    assert line[25:] == "info    GET    /me/tasks/{task_id}          200     3 ms"


def test_log_in_text_of_a_dry_run_says_that_it_was_one(pipe: tuple[int, int]) -> None:
    (line,) = written(pipe, "text", logging.INFO, 200, dry_run=True)
    assert line[25:] == "info    GET    /me/tasks/{task_id}          200     3 ms dry_run"


def test_log_in_text_of_a_refusal_says_what_to_look_for(pipe: tuple[int, int]) -> None:
    (line,) = written(
        pipe, "text", logging.INFO, 401, code="unauthorized", error=Unauthorized(token_sent=True, cause="key_expired")
    )
    refusal = "GET /me/tasks/{task_id} 401 3 ms request_id=seen code=unauthorized cause=key_expired"
    assert line[25:].split() == ["info", *refusal.split()]


def test_log_at_level_warning_has_only_what_went_wrong_on_our_side(pipe: tuple[int, int]) -> None:
    lines = [json.loads(line) for line in written(pipe, "json", logging.WARNING, 200, 404, 500, 503)]
    assert [(line["status"], line["level"]) for line in lines] == [(500, "error"), (503, "warning")]


def test_log_writer_that_nobody_reads_never_waits_and_counts_what_it_drops(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    sink = logs.LogWriter(writer)
    for number in range(2 * logs.MAX_QUEUED_LINES):  # one that waits would do so for ever
        sink.write(b"%06d" % number * 20)
    assert sink.dropped() > 0
    read = b""
    while read.count(b"\n") < 2 * logs.MAX_QUEUED_LINES - sink.dropped():
        read += os.read(reader, 65536)
    assert {len(line) for line in read.splitlines()} == {120}


def test_log_writer_writes_no_more_at_once_than_a_pipe_takes_in_one_piece() -> None:
    """So lines of several processes do not mix. Of a socket for messages, each is what was written at once."""
    lines = [letter * size for letter, size in ((b"a", 1500), (b"b", 1500), (b"c", 1500), (b"d", 5000), (b"e", 10))]
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        sink = logs.LogWriter(ours.fileno())
        for line in lines:
            sink.write(line)
        sink.close()
        written = [theirs.recv(65536)]
        while sum(map(len, written)) < sum(map(len, lines)) + len(lines):
            written.append(theirs.recv(65536))
    assert b"".join(written).splitlines() == lines
    assert [len(each) for each in written if len(each) > select.PIPE_BUF] == [5001]


def test_log_writer_to_a_pipe_that_does_not_block_waits_for_its_reader(pipe: tuple[int, int]) -> None:
    """A supervisor may have made standard error so. A pipe has room for 64 KiB."""
    reader, writer = pipe
    os.set_blocking(writer, False)
    sink = logs.LogWriter(writer)
    lines = [b"%06d" % number * 20 for number in range(2000)]
    for line in lines:
        sink.write(line)
    assert soon(lambda: select.select([], [writer], [], 0)[1] == [])  # the pipe is full
    time.sleep(2 * logs.FLUSH_INTERVAL)
    read = b""
    while read.count(b"\n") + sink.dropped() < len(lines):
        read += os.read(reader, 65536)
    assert (read.splitlines(), sink.dropped()) == (lines, 0)


def test_log_writer_whose_reader_is_gone_goes_on() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    sink = logs.LogWriter(writer)
    sink.write(b"lost")
    assert soon(lambda: sink.dropped() > 0)
    os.close(writer)
    assert sink.dropped() == 1


def test_log_writer_in_a_forked_process_has_its_own_lines_alone(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    sink = logs.LogWriter(writer)
    sink.write(b"parent")
    child = os.fork()
    if child == 0:
        sink.write(b"child")
        sink.close()
        os._exit(0)
    os.waitpid(child, 0)
    sink.close()
    assert sorted(os.read(reader, 4096).splitlines()) == [b"child", b"parent"]


def test_handler_tells_a_fault_of_the_start_in_full() -> None:
    written: list[Any] = []

    def note(line: dict[str, Any]) -> None:
        written.append((line["event"], line["exception"].partition(" at ")[0]))

    handler = logs.LogHandler(note)
    record = logging.makeLogRecord({"msg": "no start: %s", "args": (ValueError("walrus"),), "levelno": logging.ERROR})
    error = ValueError("walrus")
    record.exc_info = (ValueError, error, None)
    handler.emit(record)
    handler.redact = True
    record.args = (KeyboardInterrupt("walrus"),)
    handler.emit(record)
    assert written == [
        ("no start: ValueError: walrus", "ValueError: walrus"),
        ("no start: KeyboardInterrupt", "ValueError"),
    ]
