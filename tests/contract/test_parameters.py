"""Parameters beyond what the contract has: too many that it does not know, and forms that the next one may have."""

from typing import Any

import pytest

from tests.support.client import Client
from todo_api.contract import Parameters
from todo_api.errors import Violation


def read(query: bytes, **definition: Any) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Return the arguments and violations of a query of one parameter, `wanted`."""
    arguments: dict[str, Any] = {}
    violations: list[Violation] = []
    parameters = Parameters([{"name": "wanted", "in": "query", "schema": {"type": "integer"}} | definition])
    parameters.read({"type": "http", "path_params": {}, "query_string": query, "headers": []}, arguments, violations)
    return arguments, [(each.pointer, each.code) for each in violations]


def test_list_tasks_with_more_unknown_parameters_than_a_reply_tells_tells_the_first_hundred(ada: Client) -> None:
    reply = ada.get("/api/v1/me/tasks?" + "&".join(f"x{number}=1" for number in range(150)))
    assert reply.status == 400
    assert [error["pointer"] for error in reply.json()["errors"]] == [f"/x{number}" for number in range(100)]


def test_required_parameter_of_a_query_must_be_sent() -> None:
    assert read(b"", required=True) == ({}, [("/wanted", "required")])
    assert read(b"wanted=1", required=True) == read(b"wanted=1") == ({"wanted": 1}, [])
    assert read(b"") == ({}, [])


def test_list_of_a_query_takes_commas_and_must_say_so() -> None:
    """OpenAPI's default is a name for each value, which would be read as a parameter that is sent twice."""
    numbers = {"type": "array", "items": {"type": "integer"}}
    assert read(b"wanted=1,2", schema=numbers, explode=False) == ({"wanted": [1, 2]}, [])
    for explode in ({}, {"explode": True}):
        with pytest.raises(ValueError, match="wanted: an array parameter needs explode: false"):
            read(b"wanted=1", schema=numbers, **explode)


@pytest.mark.parametrize(("text", "number"), [("1.5", 1.5), ("-0.25", -0.25), ("3", 3.0), ("0", 0.0)])
def test_number_of_a_query_is_read(text: str, number: float) -> None:
    assert read(f"wanted={text}".encode(), schema={"type": "number"}) == ({"wanted": number}, [])


@pytest.mark.parametrize("text", ["nan", "inf", "1e9", "1.", ".5", "01", "1,5", "", "٣"])
def test_number_of_a_query_in_another_form_is_refused(text: str) -> None:
    assert read(f"wanted={text}".encode(), schema={"type": "number"}) == ({}, [("/wanted", "wrong_type")])
