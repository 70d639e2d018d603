"""What a log line says of an exception: enough to act upon, and nothing that a user has sent."""

from collections.abc import Callable

import psycopg2
import pytest

from tests.support.databases import execute
from tests.support.live import free_port
from todo_api import etags, observability
from todo_api.observability.exceptions import chain, describe

PASSWORD = "an-open-sesame"


def raised(call: Callable[[], object]) -> BaseException:
    try:
        call()
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


def test_describe_a_database_that_refuses_names_host_port_and_reason_and_no_password() -> None:
    port = free_port()
    url = f"postgresql://tasks:{PASSWORD}@127.0.0.1:{port}/tasks"
    told = describe(raised(lambda: psycopg2.connect(url)), redact=True)
    assert told.startswith("psycopg2.OperationalError: connection to server at ")
    assert f'"127.0.0.1", port {port} failed: Connection refused' in told
    assert PASSWORD not in told
    assert "\n" not in told
    assert "Is the server running" not in told


def test_describe_a_database_of_two_hosts_names_both() -> None:
    ports = free_port(), free_port()
    url = f"postgresql://tasks:{PASSWORD}@127.0.0.1:{ports[0]},127.0.0.1:{ports[1]}/tasks"
    told = describe(raised(lambda: psycopg2.connect(url)), redact=True)
    assert [f"port {port} failed: Connection refused" in told for port in ports] == [True, True]


def test_describe_a_host_that_is_unknown_names_it() -> None:
    url = f"postgresql://tasks:{PASSWORD}@nowhere.invalid/tasks"
    assert "nowhere.invalid" in describe(raised(lambda: psycopg2.connect(url)), redact=True)


def test_describe_a_database_that_is_not_there_has_what_the_server_says(url: str) -> None:
    wrong = url.replace("/test_", "/none_")
    assert 'database "none_' in describe(raised(lambda: psycopg2.connect(wrong)), redact=True)


def test_describe_a_broken_constraint_has_sqlstate_and_name_and_no_value(url: str) -> None:
    broken = "CREATE TEMP TABLE t (x text CONSTRAINT odd CHECK (x <> 'walrus')); INSERT INTO t VALUES ('walrus')"
    error = raised(lambda: execute(url, broken))
    assert "walrus" in str(error)
    assert describe(error, redact=True) == "psycopg2.errors.CheckViolation (23514, odd)"


def test_describe_a_missing_key_of_ours_names_it_and_one_of_a_library_does_not() -> None:
    program = compile("{}['due']", etags.__file__, "eval")
    assert describe(raised(lambda: eval(program)), redact=True) == "KeyError: 'due'"  # noqa: S307  # as if it stood there
    assert describe(raised(lambda: {}["walrus"]), redact=True) == "KeyError"


@pytest.mark.parametrize("kind", [AssertionError, AttributeError, ImportError, NameError, TypeError])
def test_describe_an_error_whose_message_names_code_has_the_message(kind: type[Exception]) -> None:
    assert describe(kind("code"), redact=True) == f"{kind.__name__}: code"


@pytest.mark.parametrize("kind", [ValueError, LookupError, RuntimeError, OSError])
def test_describe_an_error_that_may_quote_what_was_sent_has_its_kind_alone(kind: type[Exception]) -> None:
    assert describe(kind("walrus"), redact=True) == kind.__name__
    assert describe(kind("walrus"), redact=False) == f"{kind.__name__}: walrus"


def test_chain_has_the_frames_of_ours_first_and_the_innermost_of_them_at_the_head() -> None:
    told = chain(raised(lambda: etags.is_known(1, "")), redact=True)  # type: ignore[arg-type]  # that is what fails
    kind, _, places = told.partition(" at ")
    ours, _, others = places.partition(" through ")
    assert kind.startswith(("AttributeError: ", "TypeError: "))
    assert ours.startswith("todo_api/etags.py:")
    assert "test_exceptions.py" in others


def test_chain_tells_of_the_cause() -> None:
    def fail() -> None:
        try:
            raise ValueError("walrus")
        except ValueError as error:
            raise RuntimeError("walrus") from error

    told = chain(raised(fail), redact=True)
    assert [part.split(" at ")[0] for part in told.split("; from ")] == ["RuntimeError", "ValueError"]
    assert "walrus" not in told


def test_name_that_the_package_has_not_is_an_error_of_python() -> None:
    """Only what needs an extra is imported on first use."""
    with pytest.raises(AttributeError, match="has no attribute 'Spans'"):
        observability.Spans  # noqa: B018  # the name is what is asked for
