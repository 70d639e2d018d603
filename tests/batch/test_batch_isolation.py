"""Ids of another user in each member of each operation: they are as those of nobody."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.batches import run, stored
from tests.support.client import Client
from tests.support.tasks import create
from todo_api import contract
from todo_api.contract import resolve

DOCUMENT = contract.load(contract.TASK_API)
OPERATION = DOCUMENT["components"]["schemas"]["BatchOperation"]
PROJECTS = "/api/v1/me/projects"
NOBODYS = "01932c07-9f7a-7c1d-b6a1-5a2f0f5d1c3e"
SAME_ID = {"X-Request-ID": "the-same"}
SAID: dict[tuple[str, str], Any] = {("task", "change"): {"title": "x"}, ("project", "change"): {"name": "x"}}
"""What an operation says besides names and ids."""


def places(schema: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield every place of an id, or of a label, within an operation."""
    for name, part in schema["properties"].items():
        member = resolve(DOCUMENT, part)
        if member.get("format") == "uuid" or name == "label":
            yield (*path, name)
        if member["type"] == "object":
            yield from places(member, (*path, name))


PLACES = [(kind, *path) for kind, part in OPERATION["properties"].items() for path in places(resolve(DOCUMENT, part))]


def test_run_batch_has_ids_in_every_kind_of_operation() -> None:
    assert {kind for kind, *_ in PLACES} == {*OPERATION["properties"]}
    assert ("create_task", "parent_id") in PLACES
    assert ("update_task", "change", "project_id") in PLACES
    assert len(PLACES) > 20


def operation(place: tuple[str, ...], own: dict[str, str], foreign: str) -> dict[str, Any]:
    """Return an operation on what the caller has, but for the foreign id in one place."""
    kind, *path = place
    noun = kind.partition("_")[2]
    schema = resolve(DOCUMENT, OPERATION["properties"][kind])
    sent: dict[str, Any] = {}
    for name in schema["required"]:
        sent[name] = own[noun] if name in ("id", "label") else SAID.get((noun, name), "x")
    if kind.startswith("move") and path == ["id"]:
        sent["at"] = "first"
    at: dict[str, Any] = sent
    for name in path[:-1]:
        at = at[name]
    at[path[-1]] = foreign
    return {kind: sent}


@pytest.mark.parametrize("place", PLACES, ids=".".join)
def test_run_batch_with_an_id_of_another_user_is_as_with_an_id_of_nobody(
    ada: Client, bob: Client, direct: str, place: tuple[str, ...]
) -> None:
    theirs = create(ada, labels=["theirs"])
    project = ada.post(PROJECTS, {"name": "theirs"}).json()
    mine = create(bob, labels=["mine"])
    own = {"task": mine["id"], "project": bob.post(PROJECTS, {"name": "x"}).json()["id"], "label": "mine"}
    is_project = place[-1] == "project_id" or place[0].endswith("project")
    foreign = "theirs" if place[-1] == "label" else project["id"] if is_project else theirs["id"]
    before, of_bob = stored(direct, theirs["user_id"]), stored(direct, mine["user_id"])
    reply = run(bob, operation(place, own, foreign), headers=SAME_ID)
    assert stored(direct, theirs["user_id"]) == before
    if place[0] in ("create_task", "create_project") and place[-1] == "id":  # ids are unique within a space
        assert reply.status == 200
        return
    nobodys = "nobodys" if place[-1] == "label" else NOBODYS
    unknown = run(bob, operation(place, own, nobodys), headers=SAME_ID)
    assert (reply.status, reply.body) == (unknown.status, unknown.body)
    assert reply.status == (404 if place[-1] in ("id", "label") else 400)
    assert stored(direct, mine["user_id"]) == of_bob
