"""Batches: each kind of operation, in order, under one number, and what the reply says."""

from typing import Any

import pytest

from tests.support.batches import BATCH, done, new_id, run, stored
from tests.support.client import Client
from tests.support.rows import rows
from tests.support.tasks import create, path
from tests.support.trees import wrong
from todo_api import contract

PROJECTS = "/api/v1/me/projects"
DOCUMENT = contract.load(contract.TASK_API)
SCHEMAS = DOCUMENT["components"]["schemas"]


def number(client: Client, direct: str) -> int:
    """Return the number of the user's last write."""
    ((seq,),) = rows(direct, f"SELECT seq FROM users WHERE id = '{owner(client)}'")
    return int(seq)


def owner(client: Client) -> str:
    """Return the id of the client's user, who has a task from then on."""
    return str(create(client)["user_id"])


def test_run_batch_of_every_kind_does_what_each_operation_does_alone(ada: Client, direct: str) -> None:
    first, second, third, fourth, gone = (create(ada, str(n), labels=["old", "gone"]) for n in range(5))
    here, there, away = (ada.post(PROJECTS, {"name": name}).json() for name in ("here", "there", "away"))
    inside = create(ada, "inside", project_id=away["id"])
    project_id, task_id = new_id(), new_id()
    seq, results = done(
        ada,
        {"create_project": {"id": project_id, "name": "new", "color": "#2f6f4e"}},
        {"create_task": {"id": task_id, "title": "new", "project_id": project_id, "labels": ["old"]}},
        {"update_task": {"id": first["id"], "version": first["version"], "change": {"priority": "high"}}},
        {"move_task": {"id": second["id"], "at": "first"}},
        {"move_task": {"id": third["id"], "parent_id": task_id}},
        {"complete_task": {"id": fourth["id"]}},
        {"delete_task": {"id": gone["id"]}},
        {"update_project": {"id": here["id"], "change": {"name": "changed"}}},
        {"move_project": {"id": there["id"], "before": here["id"]}},
        {"delete_project": {"id": away["id"]}},
        {"rename_label": {"label": "OLD", "name": "young"}},
        {"remove_label": {"label": "gone"}},
    )
    project, new, changed, moved, below, completed, deleted, renamed, placed, *rest = results
    assert (project["id"], project["name"], project["color"]) == (project_id, "new", "#2f6f4e")
    assert (new["id"], new["project_id"], new["labels"]) == (task_id, project_id, ["young"])
    assert changed["priority"] == "high"
    assert moved["position"] < first["position"]
    assert (below["parent_id"], below["project_id"]) == (task_id, project_id)
    assert (completed["status"], completed["completed_at"] is None) == ("completed", False)
    assert renamed["name"] == "changed"
    assert placed["position"] < here["position"]
    assert [deleted, *rest] == [None] * 4
    written = [project, new, changed, moved, below, completed, renamed, placed]
    assert {each["version"] for each in written} == {seq}
    for each in (new, changed, moved, below, completed):
        assert ada.get(path(each)).json() == each
        assert each["labels"] == ["young"]
    for each in (project, renamed, placed):
        assert ada.get(f"{PROJECTS}/{each['id']}").json() == each
    assert [ada.get(path(each)).status for each in (gone, inside)] == [404, 404]
    assert ada.get(f"{PROJECTS}/{away['id']}").status == 404
    assert wrong(direct, new) == []


def test_run_batch_takes_one_number_for_all_that_it_writes(ada: Client, direct: str) -> None:
    user_id = owner(ada)
    before = number(ada, direct)
    tag = ada.get("/api/v1/me/tasks").headers["etag"]
    seq, results = done(ada, *({"create_task": {"title": str(n)}} for n in range(7)))
    assert {each["version"] for each in results} == {seq} == {before + 1}
    ((now,),) = rows(direct, f"SELECT seq FROM users WHERE id = '{user_id}'")
    assert now == seq
    assert ada.get("/api/v1/me/tasks").headers["etag"] != tag
    assert create(ada)["version"] == seq + 1


@pytest.mark.parametrize("place", [0, 1, 2])
def test_run_batch_with_one_write_among_others_takes_one_number(ada: Client, direct: str, place: int) -> None:
    task, seq = create(ada), number(ada, direct)
    operations = [{"update_task": {"id": task["id"], "change": {"title": "Buy milk"}}} for _ in range(3)]
    operations[place] = {"create_task": {"title": "new"}}
    outcome = run(ada, *operations).json()
    assert outcome["seq"] == seq + 1
    assert [each["task"]["version"] for each in outcome["results"]] == [
        seq + 1 if n == place else task["version"] for n in range(3)
    ]
    assert create(ada)["version"] == seq + 2


def test_run_batch_that_changes_nothing_takes_no_number(ada: Client, direct: str) -> None:
    task = create(ada, status="completed", labels=["same"])
    project = ada.post(PROJECTS, {"name": "same"}).json()
    before, tag = stored(direct, task["user_id"]), ada.get("/api/v1/me/tasks").headers["etag"]
    seq, results = done(
        ada,
        {"update_task": {"id": task["id"], "change": {"title": task["title"]}}},
        {"complete_task": {"id": task["id"], "completed": True}},
        {"move_task": {"id": task["id"], "project_id": None}},
        {"update_project": {"id": project["id"], "change": {"name": "same"}}},
        {"move_project": {"id": project["id"], "at": "last"}},
        {"rename_label": {"label": "same", "name": "same"}},
    )
    assert seq == project["version"]
    assert results == [task, task, task, project, project, None]
    assert stored(direct, task["user_id"]) == before
    assert ada.get("/api/v1/me/tasks").headers["etag"] == tag


def test_run_batch_reply_has_each_object_as_it_is_after_the_batch(ada: Client) -> None:
    parent = create(ada)
    child = create(ada, parent_id=parent["id"])
    seq, results = done(
        ada,
        {"update_task": {"id": child["id"].upper(), "change": {"title": "first"}}},
        {"update_task": {"id": child["id"], "change": {"title": "second"}}},
        {"complete_task": {"id": parent["id"], "subtasks": "complete"}},
    )
    assert results[0] == results[1] == ada.get(path(child)).json()
    assert (results[0]["title"], results[0]["status"], results[0]["version"]) == ("second", "completed", seq)
    _, results = done(
        ada, {"update_task": {"id": child["id"], "change": {"title": "third"}}}, {"delete_task": {"id": parent["id"]}}
    )
    assert results == [None, None]


def test_run_batch_completes_by_default_and_reopens_when_told(ada: Client) -> None:
    task = create(ada)
    for _ in range(2):
        _, (completed,) = done(ada, {"complete_task": {"id": task["id"]}})
        assert completed["completed"] is True
    _, (reopened,) = done(ada, {"complete_task": {"id": task["id"], "completed": False}})
    assert reopened["status"] == "pending"


def test_run_batch_keeps_counts_and_order(ada: Client, direct: str) -> None:
    ids = [new_id() for _ in range(5)]
    statuses = ["pending", "in_progress", "completed", "cancelled", "pending"]
    done(
        ada,
        *({"create_task": {"id": id_, "title": id_, "status": s}} for id_, s in zip(ids, statuses, strict=True)),
        {"complete_task": {"id": ids[1]}},
        {"update_task": {"id": ids[3], "change": {"status": "pending"}}},
        {"delete_task": {"id": ids[2]}},
        {"move_task": {"id": ids[4], "before": ids[0]}},
    )
    listed = ada.get("/api/v1/me/tasks?sort=position").json()
    assert [task["id"] for task in listed["items"]] == [ids[4], ids[0], ids[1], ids[3]]
    assert listed["total"] == 4
    assert wrong(direct, listed["items"][0]) == []


@pytest.mark.parametrize("count", [1, 100])
def test_run_batch_of_as_many_operations_as_allowed_succeeds(ada: Client, count: int) -> None:
    _, results = done(ada, *({"create_task": {"title": str(n)}} for n in range(count)))
    assert [each["title"] for each in results] == [str(n) for n in range(count)]
    assert [each["id"] for each in ada.get("/api/v1/me/tasks?sort=position&limit=100").json()["items"]] == [
        each["id"] for each in results
    ]


def test_run_batch_as_first_request_of_a_user_makes_their_row(new_user: Any, direct: str) -> None:
    eve = new_user()
    seq, (task,) = done(eve, {"create_task": {"title": "first"}})
    assert task["version"] == seq
    assert wrong(direct, task) == []


def test_run_batch_schemas_of_what_may_be_null_have_the_members_of_what_may_not() -> None:
    for nullable, plain in (("TaskOrNull", "Task"), ("ProjectOrNull", "Project")):
        assert SCHEMAS[nullable]["properties"] == SCHEMAS[plain]["properties"]
        assert sorted(SCHEMAS[nullable]["required"]) == sorted(SCHEMAS[plain]["required"])
    either = SCHEMAS["TaskOrProject"]["properties"]
    assert either.keys() == SCHEMAS["Task"]["properties"].keys() | SCHEMAS["Project"]["properties"].keys()
    common = SCHEMAS["Task"]["properties"].keys() & SCHEMAS["Project"]["properties"].keys()
    assert sorted(SCHEMAS["TaskOrProject"]["required"]) == sorted(common)


def test_run_batch_examples_of_the_contract_run(ada: Client) -> None:
    examples = DOCUMENT["paths"]["/{user_id}/batch"]["post"]["requestBody"]["content"]["application/json"]["examples"]
    shopping, moving = (contract.resolve(DOCUMENT, example)["value"] for example in examples.values())
    assert ada.post(BATCH, shopping).status == 200
    *_, update = moving["operations"]
    create(ada, id=update["update_task"]["id"])
    update["update_task"]["version"] = ada.get(path(update["update_task"])).json()["version"]
    assert ada.post(BATCH, moving).status == 200
