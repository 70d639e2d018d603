"""Patches against a version (`base`): what others have changed since stays, and a clash is refused with its members."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from tests.support.batches import run
from tests.support.client import Client, Reply
from tests.support.rows import rows
from tests.support.tasks import create, path

ROUNDS = 50

FULL: dict[str, Any] = {
    "title": "Pack",
    "description": "All of it.",
    "priority": "low",
    "labels": ["home"],
    "links": [{"url": "https://pack.example/", "title": None}],
    "due": {"date": "2026-12-01", "time": "09:00", "time_zone": "Europe/Berlin"},
    "start": {"date": "2026-11-30"},
}
"""A task with every member that concerns itself alone."""

CHANGES: dict[str, tuple[Any, Any]] = {
    "title": ("Pack: boots", "Pack: hat"),
    "description": ("Boots.", None),
    "status": ("in_progress", "completed"),
    "priority": ("high", "urgent"),
    "labels": (["home", "travel"], []),
    "links": ([{"url": "https://boots.example/"}], []),
    "due": ({"time": "10:00"}, {"date": "2026-12-02"}),
    "start": ({"date": "2026-11-29"}, None),
}
"""By member two patches of it that clash."""


def patch(client: Client, task: dict[str, Any], base: int, body: dict[str, Any], **more: Any) -> Reply:
    return client.patch(f"{path(task)}?base={base}", body, **more)


def refused(reply: Reply, *fields: str) -> dict[str, Any]:
    """Return the current task of a clash in these members."""
    problem = reply.json()
    assert (reply.status, problem["code"]) == (409, "conflict"), problem
    assert problem["fields"] == [*fields]
    current: dict[str, Any] = problem["current"]
    return current


def test_update_task_with_base_of_the_worked_example_merges_and_names_the_clash(ada: Client) -> None:
    task = create(ada, "Pack")
    base = task["version"]
    first = ada.patch(path(task), {"title": "Pack: boots"}).json()
    assert first["version"] == base + 1
    second = patch(ada, task, base, {"status": "completed"}).json()
    assert (second["title"], second["status"], second["version"]) == ("Pack: boots", "completed", base + 2)
    assert refused(patch(ada, task, base, {"title": "Pack: hat"}), "/title") == second
    same = patch(ada, task, base, {"title": "Pack: boots"})
    assert (same.status, same.json()) == (200, second)
    assert same.headers["etag"] == f'"{base + 2}"'


def test_update_task_with_base_between_two_of_its_versions_takes_it_as_of_the_earlier_one(ada: Client) -> None:
    """Numbers are the user's: what else they wrote has those between."""
    task, between = create(ada, "Pack"), create(ada)["version"]
    ada.patch(path(task), {"title": "Pack: boots"})
    assert patch(ada, task, between, {"priority": "high"}).json()["title"] == "Pack: boots"
    refused(patch(ada, task, between, {"title": "Pack: hat"}), "/title")


@pytest.mark.parametrize("member", CHANGES)
def test_update_task_with_base_clashes_in_the_member_that_others_changed(ada: Client, member: str) -> None:
    task = create(ada, **FULL)
    theirs, mine = CHANGES[member]
    current = ada.patch(path(task), {member: theirs}).json()
    assert refused(patch(ada, task, task["version"], {member: mine}), f"/{member}") == current
    assert ada.get(path(task)).json() == current
    assert patch(ada, task, task["version"], {member: theirs}).json() == current
    assert patch(ada, task, current["version"], {member: mine}).json()["version"] == current["version"] + 1


@pytest.mark.parametrize("member", CHANGES)
def test_update_task_with_base_keeps_what_others_changed(ada: Client, member: str) -> None:
    task = create(ada, **FULL)
    current = ada.patch(path(task), {member: CHANGES[member][0]}).json()
    other = {name: mine for name, (_, mine) in CHANGES.items() if name != member}
    merged = patch(ada, task, task["version"], other)
    assert merged.status == 200
    assert merged.json()[member] == current[member]
    assert merged.json()["version"] == current["version"] + 1


def test_update_task_with_base_names_every_clash_and_no_other_member(ada: Client) -> None:
    task = create(ada, **FULL)
    ada.patch(path(task), {"title": "Theirs", "priority": "high"})
    ada.patch(path(task), {"description": "Theirs."})
    body = {"title": "Mine", "description": "Mine.", "priority": "high", "labels": []}
    refused(patch(ada, task, task["version"], body), "/title", "/description")
    refused(patch(ada, task, task["version"] + 1, body), "/description")


def test_update_task_with_base_clashes_with_a_change_that_was_taken_back(ada: Client) -> None:
    task = create(ada, "Pack")
    for title in ("Theirs", "Pack"):
        ada.patch(path(task), {"title": title})
    refused(patch(ada, task, task["version"], {"title": "Mine"}), "/title")
    assert patch(ada, task, task["version"], {"title": "Pack"}).status == 200


def test_update_task_with_base_names_the_status_for_completed(ada: Client) -> None:
    task = create(ada)
    ada.patch(f"{path(task)}/complete", {"completed": True})
    refused(patch(ada, task, task["version"], {"completed": False}), "/status")
    assert patch(ada, task, task["version"], {"completed": True}).status == 200


def test_update_task_with_base_names_where_others_moved_it_but_never_the_position(ada: Client) -> None:
    parent, task = create(ada, "parent"), create(ada)
    ada.post(f"{path(task)}/move", {"at": "first"})
    moved = patch(ada, task, task["version"], {"parent_id": parent["id"]})
    assert moved.status == 200
    refused(patch(ada, task, task["version"], {"parent_id": None}), "/parent_id")


def test_update_task_with_base_knows_what_a_batch_and_a_label_changed(ada: Client) -> None:
    task, other = create(ada, labels=["old"]), create(ada)
    ada.patch("/api/v1/me/labels/old", {"name": "new"})
    refused(patch(ada, task, task["version"], {"labels": []}), "/labels")
    assert run(ada, *({"update_task": {"id": other["id"], "change": {"title": n}}} for n in "ab")).status == 200
    refused(patch(ada, other, other["version"], {"title": "c"}), "/title")


def test_update_task_with_base_of_something_cleared_meanwhile_is_a_clash(ada: Client) -> None:
    task = create(ada, **FULL)
    ada.patch(path(task), {"due": None})
    refused(patch(ada, task, task["version"], {"due": {"time": "10:00"}}), "/due")


@pytest.mark.parametrize("date", ["2026-11-30", "2026-12-02"], ids=["earlier", "later"])
def test_update_task_with_base_to_an_earlier_date_clashes_as_to_a_later_one(ada: Client, date: str) -> None:
    task = create(ada, "Pack", due=FULL["due"])
    ada.patch(path(task), {"due": {"time": "10:00"}})
    refused(patch(ada, task, task["version"], {"due": {"date": date}}), "/due")


def test_update_task_with_base_of_before_the_task_fails(ada: Client) -> None:
    other = create(ada)
    task = create(ada)
    reply = patch(ada, task, other["version"], {"title": "Mine"})
    assert (reply.status, reply.json()["code"], reply.json()["current"]) == (412, "precondition_failed", task)
    assert reply.headers["etag"] == f'"{task["version"]}"'


@pytest.mark.parametrize("deletions", [["tasks/{}?permanent=true"], ["tasks/{}", "trash/{}"]])
def test_update_task_with_base_of_another_task_that_had_its_id_fails(ada: Client, deletions: list[str]) -> None:
    former = create(ada, "Former")
    changed = ada.patch(path(former), {"title": "Changed"}).json()
    for each in deletions:
        assert ada.delete(f"/api/v1/me/{each.format(former['id'])}").status == 204
    task = create(ada, "Present", id=former["id"])
    for base in (former["version"], changed["version"], changed["version"] + 1):
        assert patch(ada, task, base, {"priority": "high"}).status == 412
    assert patch(ada, task, task["version"], {"priority": "high"}).status == 200


def test_update_task_with_base_older_than_its_history_fails(ada: Client, direct: str) -> None:
    task = create(ada)
    first = ada.patch(path(task), {"title": "first"}).json()
    second = ada.patch(path(task), {"title": "second"}).json()
    rows(direct, f"DELETE FROM history WHERE id = '{task['id']}' AND seq = {first['version']}")
    assert patch(ada, task, task["version"], {"priority": "high"}).status == 412
    refused(patch(ada, task, first["version"], {"title": "Mine"}), "/title")
    assert patch(ada, task, first["version"], {"priority": "high"}).status == 200
    rows(direct, f"DELETE FROM history WHERE id = '{task['id']}'")
    assert patch(ada, task, second["version"], {"priority": "low"}).status == 412
    assert patch(ada, task, second["version"] + 1, {"priority": "low"}).status == 200


def test_update_task_with_base_above_the_present_breaks_the_contract(ada: Client) -> None:
    task = create(ada)
    create(ada)
    reply = patch(ada, task, task["version"] + 1, {"title": "Mine"})
    (violation,) = reply.json()["errors"]
    assert (reply.status, violation["location"], violation["pointer"]) == (400, "query", "/base")
    assert violation["code"] == "too_large"


def test_update_task_with_base_and_if_match_breaks_the_contract(ada: Client) -> None:
    task = create(ada)
    reply = patch(ada, task, task["version"], {"title": "Mine"}, headers={"If-Match": '"1"'})
    (violation,) = reply.json()["errors"]
    assert (reply.status, violation["pointer"], violation["code"]) == (400, "/base", "conflicting")


def test_update_task_with_base_tried_in_a_dry_run_keeps_nothing(ada: Client) -> None:
    task = create(ada)
    current = ada.patch(path(task), {"title": "Theirs"}).json()
    tried = ada.patch(f"{path(task)}?base={task['version']}&dry_run=true", {"priority": "high"})
    assert (tried.status, tried.headers["dry-run"], tried.json()["priority"]) == (200, "true", "high")
    refused(ada.patch(f"{path(task)}?base={task['version']}&dry_run=true", {"title": "Mine"}), "/title")
    assert ada.get(path(task)).json() == current


def test_update_task_with_base_is_bound_by_the_rules_of_any_change(ada: Client, bob: Client) -> None:
    task = create(ada, status="cancelled")
    assert patch(ada, task, task["version"], {"status": "completed"}).json()["code"] == "invalid_transition"
    assert patch(bob, task, task["version"], {"title": "Mine"}).status == 404


@pytest.mark.parametrize("members", [("title", "title"), ("title", "description")])
def test_update_task_twice_with_one_base_at_once_is_as_one_after_the_other(
    ada: Client, members: tuple[str, str]
) -> None:
    together = Barrier(2)

    def change(task: dict[str, Any], body: dict[str, Any]) -> Reply:
        together.wait(60)
        return patch(ada, task, task["version"], body)

    with ThreadPoolExecutor(2) as pool:
        for _ in range(ROUNDS):
            task = create(ada, "Pack")
            bodies = [{member: f"of {number}"} for number, member in enumerate(members)]
            replies = [each.result() for each in [pool.submit(change, task, body) for body in bodies]]
            now = ada.get(path(task)).json()
            if members[0] == members[1]:
                assert sorted(reply.status for reply in replies) == [200, 409]
                (won,) = (body for reply, body in zip(replies, bodies, strict=True) if reply.status == 200)
                assert now["title"] == won["title"]
            else:
                assert [reply.status for reply in replies] == [200, 200]
                assert (now["title"], now["description"]) == ("of 0", "of 1")


def test_update_task_with_base_does_not_clash_with_the_project_of_its_id(ada: Client) -> None:
    """Ids are unique among tasks, and among projects."""
    project = ada.post("/api/v1/me/projects", {"name": "Garden"}).json()
    task = create(ada, id=project["id"])
    assert ada.patch(f"/api/v1/me/projects/{project['id']}", {"description": "Of the project."}).status == 200
    assert ada.patch(path(task), {"title": "Dig"}).status == 200
    assert patch(ada, task, task["version"], {"description": "Of the task."}).status == 200


def test_update_task_with_base_clashes_also_where_a_later_project_has_its_id(ada: Client) -> None:
    task = create(ada)
    assert ada.patch(path(task), {"title": "Dig"}).status == 200
    assert ada.post("/api/v1/me/projects", {"id": task["id"], "name": "Garden"}).status == 201
    assert patch(ada, task, task["version"], {"title": "Plant"}).code == "conflict"
