"""What a violation says: what to send instead, with the words and members that are allowed."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.client import Client
from todo_api import contract

DOCUMENT = contract.load(contract.TASK_API)
ID = "01932c07-9f7a-7c1d-b6a1-5a2f0f5d1c3e"
ZONE = "Must be the IANA name of a time zone, such as Europe/Berlin."


def sent_schemas() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each schema of a parameter or a body, with its place."""
    for address, item in DOCUMENT["paths"].items():
        for method, operation in item.items():
            if method == "parameters":
                continue
            for part in [*item.get("parameters", []), *operation.get("parameters", [])]:
                parameter = contract.resolve(DOCUMENT, part)
                yield from within(f"{parameter['in']} {parameter['name']}", parameter["schema"])
            for media in contract.resolve(DOCUMENT, operation.get("requestBody", {})).get("content", {}).values():
                yield from within(f"{method} {address} ", media["schema"])


def within(place: str, part: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield a schema and those inside it."""
    schema = contract.resolve(DOCUMENT, part)
    yield place, schema
    for name, member in schema.get("properties", {}).items():
        if not contract.resolve(DOCUMENT, member).get("readOnly"):
            yield from within(f"{place}/{name}", member)
    if "items" in schema:
        yield from within(f"{place}/0", schema["items"])


def test_every_pattern_that_a_request_may_break_has_words_of_its_own() -> None:
    silent = {
        place
        for place, schema in sent_schemas()
        if "pattern" in schema and "format" not in schema and "" not in found_of(schema)
    }
    assert silent == set()


def found_of(schema: dict[str, Any]) -> list[str]:
    """Return the patterns for which a schema has a text."""
    return [each["found"] for each in schema.get("x-pattern-details", ())]


TOLD: dict[str, tuple[str, str, Any, str]] = {
    "an object in place of which stands a text": (
        "POST", "/tasks", {"title": "x", "due": "2026-11-30"},
        "Must be an object with: date, time, time_zone; or null."),
    "a link that is a text": (
        "POST", "/tasks", {"title": "x", "links": ["https://a.example"]}, "Must be an object with: url, title."),
    "a number in place of a word": (
        "POST", "/tasks", {"title": "x", "priority": 1}, "Must be one of: none, low, medium, high, urgent."),
    "a text in place of a list": ("POST", "/tasks", {"title": "x", "labels": "home"}, "Must be an array."),
    "a text in place of a boolean": ("PATCH", f"/tasks/{ID}", {"completed": "yes"}, "Must be true or false."),
    "a word in place of a boolean in the address": ("GET", "/tasks?startable=yes", None, "Must be true or false."),
    "a word in place of a number in the address": ("GET", "/tasks?limit=all", None, "Must be an integer."),
    "null where there is no nothing": ("PATCH", f"/tasks/{ID}", {"title": None}, "Must be a string."),
    "a change of nothing": (
        "PATCH", f"/projects/{ID}", {}, "Must have at least 1 of: name, description, color."),
    "a move to nowhere": (
        "POST", f"/tasks/{ID}/move", {}, "Must have at least 1 of: before, after, at, project_id, parent_id."),
    "a change of nothing of the account": (
        "PATCH", "/account", {}, "Must have at least 1 of: name, time_zone, week_start."),
    "a label twice": (
        "POST", "/tasks", {"title": "x", "labels": ["home", "Home"]}, "Is in the list already: case does not count."),
    "an unknown zone": ("PATCH", "/account", {"time_zone": "Berlin"}, ZONE),
    "a zone that is none": ("PATCH", "/account", {"time_zone": "Central Europe"}, ZONE),
    "a token that is none": ("GET", "/changes?since=a%20b", None, "Must be the next of a page."),
    "a cursor that is none": ("GET", "/tasks?cursor=a%20b", None, "Must be the next_cursor of a page."),
}  # fmt: skip


@pytest.mark.parametrize("case", TOLD)
def test_violation_says_what_to_send_instead(ada: Client, case: str) -> None:
    method, address, body, detail = TOLD[case]
    reply = ada.request(method, f"/api/v1/me{address}", json_body=body)
    assert (reply.status, [each["detail"] for each in reply.json()["errors"]]) == (400, [detail])


def test_version_without_quotes_says_that_it_takes_some(ada: Client) -> None:
    reply = ada.delete(f"/api/v1/me/tasks/{ID}", headers={"If-Match": "7"})
    assert [each["detail"] for each in reply.json()["errors"]] == ['Must be * or a version in quotes, such as "7".']


def test_open_subtasks_are_counted_in_words_that_agree(ada: Client) -> None:
    parent = ada.post("/api/v1/me/tasks", {"title": "parent"}).json()["id"]
    told = []
    for _ in range(2):
        ada.post("/api/v1/me/tasks", {"title": "child", "parent_id": parent})
        told.append(ada.patch(f"/api/v1/me/tasks/{parent}/complete", {"completed": True}).json()["detail"])
    assert [each.partition(", or")[0] for each in told] == [
        "1 subtask is still to be done. Complete it first",
        "2 subtasks are still to be done. Complete them first",
    ]
