"""A client of 1.0 replaces a task: what it does not know stays. The members are the contract's: one that comes later is tried as well."""

from functools import cache
from typing import Any

import pytest
import yaml

from tests.support.client import Client
from tests.support.pages import ROOT
from tests.support.tasks import create, path
from todo_api import contract
from todo_api.contract import resolve

DOCUMENT = contract.load(contract.TASK_API)
MEMBERS = DOCUMENT["components"]["schemas"]["TaskReplacement"]["properties"]
KEPT = sorted(name for name, schema in MEMBERS.items() if resolve(DOCUMENT, schema).get("x-put") == "keep")

PROJECT = "01932c08-4a6b-7f3e-8d1c-2b3a4c5d6e7f"
PARENT = "01932c06-1c5e-7b2a-9d3f-6e4b8a7c5d10"

SAMPLES: dict[str, tuple[Any, Any]] = {
    "priority": ("urgent", "none"),
    "links": ([{"url": "https://bank.example/transfer", "title": "Transfer"}, {"url": "http://a", "title": None}], []),
    "due": ({"date": "2026-11-20", "time": "17:30", "time_zone": "Europe/Berlin"}, None),
    "start": ({"date": "2026-11-19", "time": None, "time_zone": None}, None),
    "project_id": (PROJECT, None),
    "labels": (["errand", "Home"], []),
    "parent_id": (PARENT, None),
}
"""By member, a value other than the default, and the one that clears it."""


@pytest.fixture(autouse=True)
def branch(ada: Client) -> None:
    """The project and the parent that are samples."""
    assert ada.post("/api/v1/me/projects", {"id": PROJECT, "name": "Kitchen"}).status == 201
    create(ada, id=PARENT, project_id=PROJECT)


@cache
def known_to_1_0() -> set[str]:
    """The members of the body that `replaceTask` takes in 1.0.0."""
    released = yaml.safe_load((ROOT / "openapi" / "released" / "1.0.0.yaml").read_text(encoding="utf-8"))
    operation = released["paths"]["/{user_id}/tasks/{task_id}"]["put"]
    (media,) = operation["requestBody"]["content"].values()
    return {*resolve(released, media["schema"])["properties"]}


def saved_by_1_0(client: Client, task: dict[str, Any]) -> dict[str, Any]:
    """The task after a client of 1.0 has read it, and saved it with a new title."""
    read = client.get(path(task)).json()
    body = {name: read[name] for name in known_to_1_0()} | {"title": "Another title"}
    reply = client.request("PUT", path(task), json_body=body)
    assert (reply.status, reply.json()["title"]) == (200, "Another title")
    saved: dict[str, Any] = client.get(path(task)).json()
    assert saved == reply.json()
    return saved


def but_title(task: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in task.items() if name not in {"title", "version", "updated_at"}}


def test_contract_marks_every_member_that_came_after_1_0_as_kept() -> None:
    set_by_server = {name for name, schema in MEMBERS.items() if resolve(DOCUMENT, schema).get("readOnly")}
    assert set(KEPT) == MEMBERS.keys() - set_by_server - known_to_1_0() - {"completed"}
    assert set(KEPT) == SAMPLES.keys()


@pytest.mark.parametrize("member", KEPT)
def test_replace_task_by_a_client_of_1_0_keeps_the_member(ada: Client, member: str) -> None:
    task = create(ada, description="oat", **{member: SAMPLES[member][0]})
    assert task[member] == SAMPLES[member][0]
    assert but_title(saved_by_1_0(ada, task)) == but_title(task)


def test_replace_task_by_a_client_of_1_0_keeps_all_members_at_once(ada: Client) -> None:
    task = create(ada, description="oat", **{member: sample for member, (sample, _) in SAMPLES.items()})
    assert but_title(saved_by_1_0(ada, task)) == but_title(task)


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
@pytest.mark.parametrize("member", KEPT)
def test_write_of_a_kept_member_sets_it_and_clears_it(ada: Client, member: str, method: str) -> None:
    task = create(ada)
    value, cleared = SAMPLES[member]
    assert task[member] == cleared
    for sent in (value, cleared):
        body = {member: sent} | ({"title": task["title"]} if method == "PUT" else {})
        reply = ada.request(method, path(task), json_body=body)
        assert (reply.status, reply.json()[member]) == (200, sent)
        assert ada.get(path(task)).json() == reply.json()
        assert reply.json() in ada.get("/api/v1/me/tasks").json()["items"]


@pytest.mark.parametrize("member", KEPT)
def test_replace_task_with_the_whole_task_keeps_the_member(ada: Client, member: str) -> None:
    task = create(ada, **{member: SAMPLES[member][0]})
    reply = ada.request("PUT", path(task), json_body=ada.get(path(task)).json())
    assert but_title(reply.json()) == but_title(task)
