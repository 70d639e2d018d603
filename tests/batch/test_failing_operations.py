"""A batch with an operation that fails: the reply is that operation's own, and nothing is written."""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from tests.support.batches import BATCH, new_id, run, stored
from tests.support.client import Client, Reply
from tests.support.rows import rows
from tests.support.tasks import create
from tests.support.trees import chain, wrong

TASKS, PROJECTS, LABELS = (f"/api/v1/me/{name}" for name in ("tasks", "projects", "labels"))
NOBODYS = "01932c07-9f7a-7c1d-b6a1-5a2f0f5d1c3e"
STALE = 9_007_199_254_740_991


class World(NamedTuple):
    """What a user has."""

    client: Client
    direct: str
    user_id: str
    task: str
    cancelled: str
    parent: str
    deepest: str
    full: str
    project: str
    other_project: str


@pytest.fixture
def world(ada: Client, direct: str) -> World:
    first = create(ada, "first", labels=["one", "two"])
    cancelled = create(ada, "cancelled", status="cancelled")
    parent, *_, deepest = chain(ada, 5)
    full = create(ada, "full")
    rows(direct, f"UPDATE tasks SET children = 200 WHERE user_id = '{first['user_id']}' AND id = '{full['id']}'")
    projects = [ada.post(PROJECTS, {"name": name}).json()["id"] for name in ("first", "second")]
    ids = [task["id"] for task in (first, cancelled, parent, deepest, full)]
    return World(ada, direct, first["user_id"], *ids, *projects)


Case = Callable[[World], dict[str, Any]]
TOO_LONG = "\u0958" * 60
"""A name of 60 characters that has 120 once it is composed (NFC)."""

CASES: dict[str, tuple[int, str, str, Case]] = {
    "create task: id taken": (409, "id_taken", "", lambda w: {"create_task": {"id": w.task, "title": "x"}}),
    "create task: project": (
        400, "unknown", "/project_id", lambda _: {"create_task": {"title": "x", "project_id": NOBODYS}}),
    "create task: parent": (
        400, "unknown", "/parent_id", lambda _: {"create_task": {"title": "x", "parent_id": NOBODYS}}),
    "create task: too deep": (
        400, "too_deep", "/parent_id", lambda w: {"create_task": {"title": "x", "parent_id": w.deepest}}),
    "create task: project of parent": (
        400, "project_of_parent", "/project_id",
        lambda w: {"create_task": {"title": "x", "parent_id": w.parent, "project_id": w.project}}),
    "create task: too many subtasks": (
        409, "too_many_subtasks", "", lambda w: {"create_task": {"title": "x", "parent_id": w.full}}),
    "update task: none": (404, "not_found", "", lambda _: {"update_task": {"id": NOBODYS, "change": {"title": "x"}}}),
    "update task: none at a version": (
        404, "not_found", "", lambda _: {"update_task": {"id": NOBODYS, "version": 1, "change": {"title": "x"}}}),
    "update task: version": (
        412, "precondition_failed", "",
        lambda w: {"update_task": {"id": w.task, "version": STALE, "change": {"title": "x"}}}),
    "update task: transition": (
        409, "invalid_transition", "",
        lambda w: {"update_task": {"id": w.cancelled, "change": {"status": "completed"}}}),
    "update task: subtasks": (
        409, "open_subtasks", "", lambda w: {"update_task": {"id": w.parent, "change": {"completed": True}}}),
    "update task: dates": (
        400, "required", "/due/date", lambda w: {"update_task": {"id": w.task, "change": {"due": {"time": "17:30"}}}}),
    "update task: cycle": (
        400, "cycle", "/parent_id", lambda w: {"update_task": {"id": w.parent, "change": {"parent_id": w.deepest}}}),
    "update task: project": (
        400, "unknown", "/project_id", lambda w: {"update_task": {"id": w.task, "change": {"project_id": NOBODYS}}}),
    "move task: none": (404, "not_found", "", lambda _: {"move_task": {"id": NOBODYS, "at": "first"}}),
    "move task: version": (
        412, "precondition_failed", "", lambda w: {"move_task": {"id": w.task, "version": STALE, "at": "first"}}),
    "move task: sibling": (400, "not_a_sibling", "/after", lambda w: {"move_task": {"id": w.task, "after": NOBODYS}}),
    "move task: cycle": (
        400, "cycle", "/parent_id", lambda w: {"move_task": {"id": w.parent, "parent_id": w.deepest}}),
    "move task: too many": (
        409, "too_many_subtasks", "", lambda w: {"move_task": {"id": w.task, "parent_id": w.full}}),
    "complete task: none": (404, "not_found", "", lambda _: {"complete_task": {"id": NOBODYS, "completed": True}}),
    "complete task: version": (
        412, "precondition_failed", "",
        lambda w: {"complete_task": {"id": w.task, "version": STALE, "completed": True}}),
    "complete task: transition": (
        409, "invalid_transition", "", lambda w: {"complete_task": {"id": w.cancelled, "completed": True}}),
    "complete task: subtasks": (
        409, "open_subtasks", "", lambda w: {"complete_task": {"id": w.parent, "completed": True}}),
    "delete task: none": (404, "not_found", "", lambda _: {"delete_task": {"id": NOBODYS}}),
    "delete task: version": (
        412, "precondition_failed", "", lambda w: {"delete_task": {"id": w.task, "version": STALE}}),
    "create project: id taken": (409, "id_taken", "", lambda w: {"create_project": {"id": w.project, "name": "x"}}),
    "update project: none": (
        404, "not_found", "", lambda _: {"update_project": {"id": NOBODYS, "change": {"name": "x"}}}),
    "update project: version": (
        412, "precondition_failed", "",
        lambda w: {"update_project": {"id": w.project, "version": STALE, "change": {"name": "x"}}}),
    "move project: none": (404, "not_found", "", lambda _: {"move_project": {"id": NOBODYS, "at": "first"}}),
    "move project: version": (
        412, "precondition_failed", "", lambda w: {"move_project": {"id": w.project, "version": STALE, "at": "first"}}),
    "move project: sibling": (
        400, "not_a_sibling", "/before", lambda w: {"move_project": {"id": w.project, "before": NOBODYS}}),
    "delete project: none": (404, "not_found", "", lambda _: {"delete_project": {"id": NOBODYS}}),
    "delete project: version": (
        412, "precondition_failed", "", lambda w: {"delete_project": {"id": w.project, "version": STALE}}),
    "rename label: none": (404, "not_found", "", lambda _: {"rename_label": {"label": "none", "name": "x"}}),
    "rename label: exists": (409, "label_exists", "", lambda _: {"rename_label": {"label": "one", "name": "TWO"}}),
    "rename label: composed": (
        400, "too_long", "/name", lambda _: {"rename_label": {"label": "one", "name": TOO_LONG}}),
    "remove label: none": (404, "not_found", "", lambda _: {"remove_label": {"label": "none"}}),
}  # fmt: skip
"""Status, code (of the problem, or of the violation), pointer of the violation, and the operation."""


def alone(client: Client, operation: dict[str, Any]) -> Reply:
    """Return the reply to the operation on its own."""
    ((kind, sent),) = operation.items()
    verb, noun = kind.split("_")
    fields = {"If-Match": f'"{sent["version"]}"'} if "version" in sent else {}
    body = {name: value for name, value in sent.items() if name not in ("id", "version", "label")}
    if noun == "label":
        address = f"{LABELS}/{sent['label']}"
        return client.patch(address, body) if verb == "rename" else client.delete(address)
    every = TASKS if noun == "task" else PROJECTS
    if verb == "create":
        return client.post(every, sent)
    address = f"{every}/{sent['id']}"
    match verb:
        case "update":
            return client.patch(address, sent["change"], headers=fields)
        case "move":
            return client.post(f"{address}/move", body, headers=fields)
        case "complete":
            return client.patch(f"{address}/complete", body, headers=fields)
    return client.delete(address, headers=fields)


def own(problem: dict[str, Any], pointer: str = "") -> dict[str, Any]:
    """Return what a problem has of its own, with the places within the operation."""
    told = {name: value for name, value in problem.items() if name not in ("request_id", "operation")}
    for each in told.get("errors", ()):
        assert each["pointer"].startswith(pointer)
        each["pointer"] = each["pointer"].removeprefix(pointer)
    return told


def good(world: World) -> list[dict[str, Any]]:
    """Return operations that each write something, and do not touch what the cases need."""
    return [
        {"create_task": {"title": "new", "labels": ["one"], "project_id": world.project}},
        {"update_task": {"id": world.full, "change": {"description": "changed"}}},
        {"create_project": {"name": "new"}},
        {"delete_project": {"id": world.other_project}},
    ]


@pytest.mark.parametrize("name", CASES)
def test_run_batch_with_an_operation_that_fails_is_refused_as_that_operation_and_writes_nothing(
    world: World, name: str
) -> None:
    status, code, within, make = CASES[name]
    failing = make(world)
    before = stored(world.direct, world.user_id)
    single = alone(world.client, failing)
    assert single.status == status
    ((kind, sent),) = failing.items()
    others = good(world)
    for place in (0, 2, 4):
        reply = run(world.client, *others[:place], failing, *others[place:])
        problem = reply.json()
        assert (reply.status, problem["operation"]) == (status, place)
        pointer = f"/operations/{place}/{kind}{'/change' if 'change' in sent else ''}"
        if status == 400:
            assert [(each["code"], each["pointer"]) for each in problem["errors"]] == [(code, pointer + within)]
        else:
            assert problem["code"] == code
        assert own(problem, pointer) == own(single.json())
        assert reply.headers.get("etag") == single.headers.get("etag")
        assert stored(world.direct, world.user_id) == before


def test_run_batch_whose_first_two_failures_are_of_different_kinds_is_refused_as_the_first(world: World) -> None:
    stale = {"update_task": {"id": world.task, "version": STALE, "change": {"title": "x"}}}
    missing = {"delete_task": {"id": NOBODYS}}
    for operations, status in (((stale, missing), 412), ((missing, stale), 404)):
        reply = run(world.client, *good(world), *operations)
        assert (reply.status, reply.json()["operation"]) == (status, 4)


@pytest.mark.parametrize("what", ["labels", "projects"])
def test_run_batch_beyond_a_limit_of_the_user_is_refused_and_writes_nothing(
    ada: Client, direct: str, what: str
) -> None:
    task = create(ada, "first")
    if what == "labels":
        names = [[f"{n} {each}" for each in range(20)] for n in range(25)]
        making = [{"create_task": {"title": "x", "labels": labels}} for labels in names]
        further: dict[str, Any] = {"create_task": {"title": "x", "labels": ["one more"]}}
    else:
        rows(direct, f"UPDATE users SET projects = 498 WHERE id = '{task['user_id']}'")
        making = [{"create_project": {"name": "x"}} for _ in range(2)]
        further = {"create_project": {"name": "x"}}
    before = stored(direct, task["user_id"])
    reply = run(ada, *making, further)
    assert (reply.status, reply.code, reply.json()["operation"]) == (409, f"too_many_{what}", len(making))
    assert stored(direct, task["user_id"]) == before
    assert run(ada, *making).status == 200
    assert run(ada, further).code == f"too_many_{what}"


def test_run_batch_that_uses_what_an_operation_before_deletes_is_refused(world: World) -> None:
    before = stored(world.direct, world.user_id)
    for first, second in (
        ({"delete_task": {"id": world.task}}, {"update_task": {"id": world.task, "change": {"title": "x"}}}),
        ({"delete_task": {"id": world.parent}}, {"complete_task": {"id": world.deepest}}),
        ({"delete_project": {"id": world.project}}, {"move_project": {"id": world.project, "at": "first"}}),
        ({"remove_label": {"label": "one"}}, {"rename_label": {"label": "one", "name": "three"}}),
    ):
        reply = run(world.client, first, second)
        assert (reply.status, reply.json()["operation"]) == (404, 1)
    assert stored(world.direct, world.user_id) == before


def test_run_batch_that_creates_an_id_twice_names_no_task_that_is_not_stored(world: World) -> None:
    before = stored(world.direct, world.user_id)
    new = {"id": new_id(), "title": "x"}
    changed = {"update_task": {"id": world.task, "change": {"title": "x"}}}
    for first, second in (
        ({"create_task": new}, {"create_task": new}),
        (changed, {"create_task": new | {"id": world.task}}),
    ):
        reply = run(world.client, first, second)
        problem = reply.json()
        assert (reply.status, problem["operation"], "current" in problem) == (400, 1, False)
        assert [(e["code"], e["pointer"]) for e in problem["errors"]] == [
            ("conflicting", "/operations/1/create_task/id")
        ]
    assert stored(world.direct, world.user_id) == before
    reply = run(world.client, {"delete_task": {"id": world.task}}, {"create_task": new | {"id": world.task}})
    assert (reply.status, reply.code, reply.json()["operation"], "current" in reply.json()) == (
        409,
        "id_taken",
        1,
        False,
    )
    assert stored(world.direct, world.user_id) == before


def test_run_batch_at_a_version_compares_it_with_the_state_before_the_batch(world: World) -> None:
    child = world.client.get(f"{TASKS}/{world.deepest}").json()
    reply = run(
        world.client,
        {"complete_task": {"id": world.parent, "subtasks": "complete"}},
        {"update_task": {"id": world.deepest.upper(), "version": child["version"], "change": {"title": "x"}}},
    )
    assert reply.status == 200
    task = reply.json()["results"][1]["task"]
    assert (task["title"], task["status"]) == ("x", "completed")
    again = run(
        world.client,
        {"update_task": {"id": world.parent, "change": {"title": "x"}}},
        {"move_task": {"id": world.deepest, "parent_id": None}},
        {"update_task": {"id": world.deepest, "change": {"title": "y"}}},
        {"complete_task": {"id": world.deepest, "version": task["version"], "completed": False}},
    )
    assert [(e["code"], e["pointer"]) for e in again.json()["errors"]] == [
        ("conflicting", "/operations/3/complete_task/version")
    ]
    assert again.json()["operation"] == 3


def test_run_batch_at_another_version_shows_the_state_before_the_batch(world: World) -> None:
    child = world.client.get(f"{TASKS}/{world.deepest}").json()
    reply = run(
        world.client,
        {"complete_task": {"id": world.parent, "subtasks": "complete"}},
        {"update_task": {"id": world.deepest, "version": child["version"] + 1, "change": {"title": "x"}}},
    )
    assert (reply.status, reply.json()["current"]) == (412, child)
    assert reply.headers["etag"] == f'"{child["version"]}"'


def test_run_batch_leaves_the_counts_right_whatever_happened(world: World) -> None:
    rows(world.direct, f"UPDATE tasks SET children = 0 WHERE user_id = '{world.user_id}' AND id = '{world.full}'")
    run(world.client, *good(world), {"delete_task": {"id": NOBODYS}})
    run(world.client, *good(world), {"delete_task": {"id": world.parent}})
    task = world.client.get(f"{TASKS}/{world.task}").json()
    assert wrong(world.direct, task) == []
    assert world.client.post(BATCH, {"operations": []}).status == 400
