"""One event is one line, whatever is in it: nobody can make up a line of the log."""

import json
import logging
from datetime import UTC, datetime

import pytest

from todo_api.observability import logs

FORGED = "2026-01-01T00:00:00.000000Z error    forged"
ENDS = ["\n", "\r", "\r\n", "\v", "\f", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"]
"""What ends a line for one reader or another (`str.splitlines`)."""

ESCAPES = ["\x1b[2J", "\x9b2J", "\x08", "\x00", "\x7f", "\u202e", "\u2066"]
"""What a terminal acts upon, or by which it shows a line in another order."""


def rendered(form: str, **members: object) -> bytes:
    line = {"time": datetime(2026, 1, 1, tzinfo=UTC), "level": "info", "event": "event"} | members
    return logs.RENDERERS[form](line)


@pytest.mark.parametrize("end", ENDS, ids=ascii)
@pytest.mark.parametrize("member", ["event", "request_id", "reason"])
def test_line_in_text_with_a_line_end_in_any_member_is_one_line(end: str, member: str) -> None:
    line = rendered("text", **{member: f"before{end}{FORGED}"}).decode()
    assert line.splitlines() == [line]
    assert FORGED in line


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"], ids=ascii)
@pytest.mark.parametrize("member", ["event", "request_id", "reason"])
def test_line_in_json_with_a_line_end_in_any_member_is_one_line_and_keeps_it(end: str, member: str) -> None:
    line = rendered("json", **{member: f"before{end}{FORGED}"})
    assert len(line.splitlines()) == 1
    assert json.loads(line)[member] == f"before{end}{FORGED}"


@pytest.mark.parametrize("end", ENDS, ids=ascii)
def test_line_in_text_with_a_line_end_in_the_name_of_a_member_is_one_line(end: str) -> None:
    assert len(rendered("text", **{f"name{end}": 1}).decode().splitlines()) == 1


@pytest.mark.parametrize("escape", ESCAPES, ids=ascii)
def test_line_in_text_shows_what_a_terminal_would_act_upon(escape: str) -> None:
    assert escape not in rendered("text", reason=f"a{escape}b").decode()


@pytest.mark.parametrize("microsecond", [0, 999, 1000, 123_000, 290_000, 999_999])
def test_line_in_text_has_the_second_and_the_whole_milliseconds_of_its_time(microsecond: int) -> None:
    for second in (58, 59, 58):
        time = datetime(2026, 1, 1, 23, 59, second, microsecond, UTC)
        assert rendered("text", time=time).startswith(b"2026-01-01 23:59:%02d.%03dZ " % (second, microsecond // 1000))


@pytest.mark.parametrize("form", ["json", "text"])
def test_line_with_a_lone_surrogate_is_written(form: str) -> None:
    assert rendered(form, reason="a\ud800b").isascii()


@pytest.mark.parametrize("end", ENDS, ids=ascii)
def test_record_of_a_library_with_a_line_end_in_an_argument_is_one_line(end: str) -> None:
    """As gunicorn's come: through the handler."""
    lines: list[bytes] = []
    logs.LogHandler(lambda line: lines.append(logs.RENDERERS["text"](line))).emit(
        logging.LogRecord("x", logging.WARNING, __file__, 1, "said %s", (f"a{end}{FORGED}",), None)
    )
    assert [len(line.decode().splitlines()) for line in lines] == [1]


def test_record_of_a_library_with_named_arguments_is_told_as_it_says() -> None:
    lines: list[bytes] = []
    record = logging.LogRecord("x", logging.WARNING, __file__, 1, "said %(word)s", ({"word": "this"},), None)
    logs.LogHandler(lambda line: lines.append(logs.RENDERERS["json"](line))).emit(record)
    assert [json.loads(line)["event"] for line in lines] == ["said this"]


def test_line_in_json_names_the_kind_of_a_value_that_json_has_not() -> None:
    assert json.loads(rendered("json", reason=b"secret"))["reason"] == "bytes"
