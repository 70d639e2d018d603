"""A contract that calls an operation deprecated: its replies say so (RFC 9745, RFC 8594), and no others."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.client import Client, Reply
from tests.support.credentials import SECRET, token
from todo_api import contract
from todo_api.config import Config
from todo_api.contract.bundling import to_yaml

SINCE = "2026-11-20T00:00:00Z"
UNTIL = "2027-11-20T12:30:00Z"
MORE = "https://example.com/task-api/changes"
Deprecate = Callable[..., Client]


@pytest.fixture
def deprecate(
    url: str, tmp_path: Path, new_client: Callable[[Config], Client], monkeypatch: pytest.MonkeyPatch
) -> Deprecate:
    """Makes a user's client of a service whose contract has `getTask` with these members."""

    def make(**members: Any) -> Client:
        document = contract.load(contract.TASK_API)
        document["paths"]["/{user_id}/tasks/{task_id}"]["get"] |= members
        changed = tmp_path / "task-api.yaml"
        changed.write_bytes(to_yaml(document))
        monkeypatch.setattr(contract, "TASK_API", changed)
        return new_client(Config(database_url=url, jwt_secret=SECRET)).signed_in(token("deprecator"))

    return make


def announcements(reply: Reply) -> list[tuple[str, str]]:
    return [(name, value) for name, value in reply.header_list if name in ("deprecation", "sunset", "link")]


def task_of(client: Client) -> str:
    return client.post("/api/v1/me/tasks", {"title": "Buy milk"}).headers["location"]


def test_get_task_deprecated_says_since_when(deprecate: Deprecate) -> None:
    client = deprecate(**{"deprecated": True, "x-deprecated-at": SINCE})
    reply = client.get(task_of(client))
    assert reply.status == 200
    assert announcements(reply) == [("deprecation", "@1795132800")]


def test_get_task_deprecated_with_an_end_says_when_and_where_to_read_more(deprecate: Deprecate) -> None:
    dates = {"x-deprecated-at": SINCE, "x-sunset": UNTIL, "externalDocs": {"url": MORE}}
    client = deprecate(deprecated=True, **dates)
    assert announcements(client.get(task_of(client))) == [
        ("deprecation", "@1795132800"),
        ("sunset", "Sat, 20 Nov 2027 12:30:00 GMT"),
        ("link", f'<{MORE}>; rel="deprecation"; type="text/html"'),
    ]


def test_get_task_deprecated_announces_it_in_problems_too(deprecate: Deprecate) -> None:
    client = deprecate(**{"deprecated": True, "x-deprecated-at": SINCE})
    reply = client.get("/api/v1/me/tasks/01932c07-9f7a-7c1d-b6a1-5a2f0f5d1c3e")
    assert reply.status == 404
    assert announcements(reply) == [("deprecation", "@1795132800")]


def test_get_task_deprecated_announces_it_to_head(deprecate: Deprecate) -> None:
    client = deprecate(**{"deprecated": True, "x-deprecated-at": SINCE})
    assert announcements(client.request("HEAD", task_of(client))) == [("deprecation", "@1795132800")]


def test_delete_task_beside_a_deprecated_operation_announces_nothing(deprecate: Deprecate) -> None:
    client = deprecate(**{"deprecated": True, "x-deprecated-at": SINCE, "x-sunset": UNTIL})
    reply = client.delete(task_of(client))
    assert reply.status == 204
    assert announcements(reply) == []


@pytest.mark.parametrize(
    ("dates", "message"),
    [
        ({}, "getTask: a deprecated operation needs x-deprecated-at"),
        ({"x-deprecated-at": "2026-11-20"}, "getTask: x-deprecated-at must be a string such as"),
        ({"x-deprecated-at": 1795132800}, "getTask: x-deprecated-at must be a string such as"),
        ({"x-deprecated-at": UNTIL, "x-sunset": SINCE}, "getTask: x-sunset is earlier than x-deprecated-at"),
    ],
)
def test_contract_that_deprecates_wrongly_stops_the_start(
    deprecate: Deprecate, dates: dict[str, Any], message: str
) -> None:
    client = deprecate(deprecated=True, **dates)
    with pytest.raises(ValueError, match=message):
        client.get("/health/live")
