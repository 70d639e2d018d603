"""A task taken back to a version: its members are what they were, by a new write that can be taken back as well."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from tests.support.batches import stored
from tests.support.client import Client, Reply
from tests.support.rows import rows
from tests.support.tasks import create, path
from tests.support.trees import chain, wrong

PROJECTS = "/api/v1/me/projects"

CHANGES: dict[str, Any] = {
    "title": "Pack: boots",
    "description": "Boots.",
    "status": "completed",
    "priority": "high",
    "labels": ["Travel", "home"],
    "links": [{"url": "https://boots.example/", "title": "Boots"}],
    "due": {"date": "2026-12-01", "time": "09:00", "time_zone": "Europe/Berlin"},
    "start": {"date": "2026-11-30"},
}
"""A change of each member that concerns the task alone."""

OF_SERVER = {"version", "updated_at"}


def revert(client: Client, task: dict[str, Any], version: int, **more: Any) -> Reply:
    return client.post(f"{path(task)}/revert", {"version": version}, **more)


def reverted(client: Client, task: dict[str, Any], version: int) -> dict[str, Any]:
    reply = revert(client, task, version)
    assert reply.status == 200, reply.content
    found: dict[str, Any] = reply.json()
    assert reply.headers["etag"] == f'"{found["version"]}"'
    assert client.get(path(task)).json() == found
    return found


def content(task: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in task.items() if name not in OF_SERVER}


def changed(client: Client, task: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
    reply = client.patch(path(task), body)
    assert reply.status == 200, reply.content
    found: dict[str, Any] = reply.json()
    return found


def move(client: Client, task: dict[str, Any], **where: Any) -> dict[str, Any]:
    reply = client.post(f"{path(task)}/move", where)
    assert reply.status == 200, reply.content
    found: dict[str, Any] = reply.json()
    return found


def last(direct: str, task: dict[str, Any]) -> tuple[Any, ...]:
    """Return the action and the changes of the last row of the task's history."""
    return rows(direct, f"SELECT action, changes FROM history WHERE id = '{task['id']}' ORDER BY seq DESC LIMIT 1")[0]


@pytest.mark.parametrize("member", CHANGES)
def test_revert_task_brings_each_member_back_and_again(ada: Client, direct: str, member: str) -> None:
    task = create(ada, "Pack")
    after = changed(ada, task, {member: CHANGES[member]})
    back = reverted(ada, task, task["version"])
    assert content(back) == content(task)
    assert back["version"] == after["version"] + 1
    action, changes = last(direct, task)
    assert (action, changes[member][1]) == ("reverted", task[member])
    assert content(reverted(ada, task, after["version"])) == content(after)
    assert wrong(direct, task) == []


def test_revert_task_walks_over_many_changes_to_each_version(ada: Client, direct: str) -> None:
    versions = [create(ada, "Pack", labels=["one", "two"], due={"date": "2026-12-24"})]
    for member, value in CHANGES.items():
        versions.append(changed(ada, versions[0], {member: value}))
        versions.append(changed(ada, versions[0], {"title": f"Pack: {member}"}))
    for version in (versions[0], versions[5], versions[-1], versions[11], versions[1]):
        assert content(reverted(ada, versions[0], version["version"])) == content(version)
    labels = f"SELECT name FROM task_labels WHERE task_id = '{versions[0]['id']}' ORDER BY label_key COLLATE \"C\""
    assert [name for (name,) in rows(direct, labels)] == ["one", "two"]
    assert wrong(direct, versions[0]) == []


def test_revert_task_is_found_by_filters_again(ada: Client) -> None:
    task = create(ada, "Pack", labels=["home"], due={"date": "2026-12-24"}, priority="high")
    changed(ada, task, {"labels": [], "due": None, "priority": "none", "status": "completed", "title": "Gone"})
    reverted(ada, task, task["version"])
    for filters in ("label=home", "due=any", "priority=high", "status=pending", "q=pack", "due_to=2026-12-24&sort=due"):
        page = ada.get(f"/api/v1/me/tasks?{filters}").json()
        assert [each["id"] for each in page["items"]] == [task["id"]]
        assert page["total"] == 1


def test_revert_task_is_free_of_transitions_and_keeps_when_it_was_completed(ada: Client, direct: str) -> None:
    task = create(ada, status="completed")
    changed(ada, task, {"status": "pending"})
    cancelled = changed(ada, task, {"status": "cancelled"})
    back = reverted(ada, task, task["version"])
    assert (back["status"], back["completed_at"]) == ("completed", task["completed_at"])
    assert wrong(direct, task) == []
    assert content(reverted(ada, task, cancelled["version"])) == content(cancelled)
    assert wrong(direct, task) == []


def test_revert_task_that_is_as_it_was_writes_nothing(ada: Client, direct: str) -> None:
    task = create(ada)
    for title in ("Buy oats", "Buy milk"):
        now = changed(ada, task, {"title": title})
    before = stored(direct, task["user_id"])
    assert revert(ada, task, task["version"]).json() == now
    assert revert(ada, task, now["version"]).json() == now
    assert stored(direct, task["user_id"]) == before


def test_revert_task_brings_it_back_to_its_place_with_all_below(ada: Client, direct: str) -> None:
    here, there = (ada.post(PROJECTS, {"name": name}).json()["id"] for name in ("here", "there"))
    parent, child = chain(ada, 2, project_id=here)
    _, task, _ = (create(ada, title, parent_id=child["id"]) for title in ("low", "task", "high"))
    below = create(ada, "below", parent_id=task["id"])
    moved = move(ada, task, parent_id=None, project_id=there)
    assert ada.get(path(below)).json()["project_id"] == there
    back = reverted(ada, task, task["version"])
    assert content(back) == content(task)
    now = ada.get(path(below)).json()
    assert (content(now), now["version"]) == (content(below), back["version"])
    order = ada.get(f"/api/v1/me/tasks?parent_id={child['id']}&sort=position").json()["items"]
    assert [each["title"] for each in order] == ["low", "task", "high"]
    assert wrong(direct, parent) == []
    assert content(reverted(ada, task, moved["version"])) == content(moved)
    assert ada.get(path(below)).json()["project_id"] == there
    assert wrong(direct, parent) == []


def test_revert_task_takes_the_project_of_the_parent_that_it_had(ada: Client, direct: str) -> None:
    old, new = (ada.post(PROJECTS, {"name": name}).json()["id"] for name in ("old", "new"))
    parent, task = chain(ada, 2, project_id=old)
    move(ada, task, parent_id=None, project_id=None)
    changed(ada, parent, {"project_id": new})
    assert ada.delete(f"{PROJECTS}/{old}").status == 204
    back = reverted(ada, task, task["version"])
    assert (back["parent_id"], back["project_id"]) == (parent["id"], new)
    assert wrong(direct, parent) == []


def test_revert_task_that_followed_its_parent_to_another_project_writes_nothing(ada: Client, direct: str) -> None:
    project = ada.post(PROJECTS, {"name": "new"}).json()["id"]
    parent, task = chain(ada, 2)
    changed(ada, parent, {"project_id": project})
    now, before = ada.get(path(task)).json(), stored(direct, task["user_id"])
    assert (now["project_id"], now["version"] > task["version"]) == (project, True)
    assert reverted(ada, task, task["version"]) == now
    assert stored(direct, task["user_id"]) == before


def test_revert_task_to_another_place_among_its_siblings(ada: Client) -> None:
    first, second, third = (create(ada, title) for title in "abc")
    move(ada, third, at="first")
    assert reverted(ada, third, third["version"])["position"] == third["position"]
    order = ada.get("/api/v1/me/tasks?sort=position").json()["items"]
    assert [each["title"] for each in order] == ["a", "b", "c"]
    assert first["position"] < second["position"]


@pytest.mark.parametrize("member", ["parent_id", "project_id"])
def test_revert_task_to_what_is_gone_is_a_conflict(ada: Client, direct: str, member: str) -> None:
    address = "/api/v1/me/tasks" if member == "parent_id" else PROJECTS
    named = ada.post(address, {"title": "it"} if member == "parent_id" else {"name": "it"}).json()
    task = create(ada, **{member: named["id"]})
    now = changed(ada, task, {member: None, "title": "Changed"})
    ada.delete(f"{address}/{named['id']}")
    before = stored(direct, task["user_id"])
    problem = revert(ada, task, task["version"]).json()
    assert (problem["status"], problem["code"], problem["fields"]) == (409, "conflict", [f"/{member}"])
    assert problem["current"] == now
    assert stored(direct, task["user_id"]) == before


def test_revert_task_below_itself_or_too_deep_is_a_conflict(ada: Client, direct: str) -> None:
    parent, task = chain(ada, 2)
    move(ada, task, parent_id=None)
    move(ada, parent, parent_id=task["id"])
    assert revert(ada, task, task["version"]).json()["fields"] == ["/parent_id"]
    line = chain(ada, 4)
    deep = create(ada, "deep", parent_id=line[3]["id"])
    move(ada, deep, parent_id=None)
    below = create(ada, "below", parent_id=deep["id"])
    before = stored(direct, task["user_id"])
    assert revert(ada, deep, deep["version"]).json()["fields"] == ["/parent_id"]
    assert stored(direct, task["user_id"]) == before
    move(ada, below, parent_id=None)
    assert revert(ada, deep, deep["version"]).status == 200
    assert wrong(direct, parent) == []


def test_revert_task_keeps_the_rules_of_subtasks_and_labels(ada: Client, direct: str) -> None:
    parent, child = chain(ada, 2)
    ada.patch(f"{path(child)}/complete", {"completed": True})
    completed = ada.patch(f"{path(parent)}/complete", {"completed": True}).json()
    changed(ada, parent, {"status": "pending"})
    changed(ada, child, {"status": "pending"})
    problem = revert(ada, parent, completed["version"]).json()
    assert (problem["status"], problem["code"], problem["open"]) == (409, "open_subtasks", 1)
    user = parent["user_id"]
    move(ada, child, parent_id=None)
    for number in (199, 1):
        rows(
            direct,
            "INSERT INTO tasks (user_id, id, title, status, created_at, updated_at, version, parent_id) SELECT"
            f" '{user}', gen_random_uuid(), 'x', 'pending', now(), now(), 1, '{parent['id']}' FROM generate_series(1, {number});"
            f"UPDATE tasks SET children = children + {number} WHERE id = '{parent['id']}'",
        )
        reply = revert(ada, child, child["version"])
        if number == 199:
            assert (reply.status, reply.json()["parent_id"]) == (200, parent["id"])
            move(ada, child, parent_id=None)
    assert reply.json()["code"] == "too_many_subtasks"
    labelled = create(ada, labels=["mine"])
    changed(ada, labelled, {"labels": []})
    rows(
        direct,
        "INSERT INTO task_labels (user_id, task_id, label_key, name, version)"
        f" SELECT '{user}', '{parent['id']}', 'label ' || n, 'label ' || n, 1 FROM generate_series(1, 500) n",
    )
    before = stored(direct, user)
    assert revert(ada, labelled, labelled["version"]).json()["code"] == "too_many_labels"
    assert stored(direct, user) == before


def test_revert_task_with_dates_that_are_out_of_order_now(ada: Client) -> None:
    """Zones decide which of two times is later: what was in order in one is not in another, and stands."""
    task = create(
        ada,
        start={"date": "2026-11-20", "time": "12:00", "time_zone": "Europe/Berlin"},
        due={"date": "2026-11-20", "time": "12:00"},
    )
    changed(ada, task, {"due": None})
    assert ada.patch("/api/v1/me/account", {"time_zone": "Pacific/Auckland"}).status == 200
    assert revert(ada, task, task["version"]).json()["fields"] == ["/start"]
    changed(ada, task, {"title": "Changed"})
    assert revert(ada, task, task["version"] + 1).status == 200


def test_revert_task_to_a_version_that_is_not_kept_fails(ada: Client, direct: str) -> None:
    other, task = create(ada), create(ada)
    for title in "abc":
        now = changed(ada, task, {"title": title})
    for version in (other["version"], now["version"] + 1):
        problem = revert(ada, task, version).json()
        assert (problem["status"], problem["code"]) == (409, "version_not_kept")
    rows(direct, f"DELETE FROM history WHERE id = '{task['id']}' AND seq = {task['version'] + 1}")
    assert revert(ada, task, task["version"]).json()["code"] == "version_not_kept"
    assert reverted(ada, task, task["version"] + 1)["title"] == "a"


def test_revert_task_to_a_version_of_another_that_had_its_id_fails(ada: Client) -> None:
    old = create(ada, "Old")
    changed(ada, old, {"title": "Changed"})
    ada.delete(f"{path(old)}?permanent=true")
    new = create(ada, "New", id=old["id"])
    now = changed(ada, new, {"description": "Changed."})
    for version in (old["version"], old["version"] + 1):
        assert revert(ada, new, version).json()["code"] == "version_not_kept"
        assert ada.patch(f"{path(new)}?base={version}", {"title": "Mine"}).status == 412
    assert ada.get(path(new)).json() == now
    assert content(reverted(ada, new, new["version"])) == content(new)


@pytest.mark.parametrize(
    ("member", "long", "short"),
    [
        ("description", "\N{LEDGER}" * 2049, "Short."),
        ("links", [{"url": f"https://long.example/{'x' * 2000}/{n}", "title": None} for n in range(5)], []),
    ],
)
def test_revert_task_to_what_history_has_in_part_fails(ada: Client, member: str, long: Any, short: Any) -> None:
    task = create(ada, **{member: long})
    now = changed(ada, task, {member: short, "title": "Changed"})
    assert revert(ada, task, task["version"]).json()["code"] == "version_not_kept"
    again = changed(ada, task, {member: long})
    assert reverted(ada, task, now["version"])[member] == short
    assert revert(ada, task, again["version"]).json()["code"] == "version_not_kept"


def test_revert_task_to_none_is_possible_whatever_history_has_of_what_came_after(ada: Client) -> None:
    task = create(ada)
    changed(ada, task, {"description": "\N{LEDGER}" * 3000})
    assert reverted(ada, task, task["version"])["description"] is None


def test_revert_task_with_dates_notes_with_which_zone_data_its_instants_were_computed(ada: Client, direct: str) -> None:
    """A release with newer data, beside this one, then finds and corrects them."""
    task = create(ada, due={"date": "2026-12-01", "time": "09:00"})
    changed(ada, task, {"due": None})
    user = f"WHERE id = '{task['user_id']}'"
    ((of_this_release,),) = rows(direct, f"SELECT zone_data FROM users {user}")
    rows(direct, f"UPDATE users SET zone_data = zone_data + 1000 {user}")
    assert reverted(ada, task, task["version"])["due"] == task["due"]
    assert rows(direct, f"SELECT zone_data FROM users {user}") == [(of_this_release,)]


def test_revert_task_leaves_the_labels_alone_that_it_has_now_as_then(ada: Client) -> None:
    """So the spelling used first stays that of the list."""
    first, _ = create(ada, labels=["Herbs"]), create(ada, labels=["herbs"])
    changed(ada, first, {"labels": ["Herbs", "garden"]})
    reverted(ada, first, first["version"])
    assert ada.get("/api/v1/me/labels").json()["items"] == [{"name": "Herbs", "open_tasks": 2}]


def test_revert_task_with_another_tag_fails(ada: Client) -> None:
    task = create(ada)
    now = changed(ada, task, {"title": "Changed"})
    reply = revert(ada, task, task["version"], headers={"If-Match": '"1"'})
    assert (reply.status, reply.json()["current"]) == (412, now)
    assert revert(ada, task, task["version"], headers={"If-Match": f'"{now["version"]}"'}).status == 200


def test_revert_task_twice_with_one_key_takes_effect_once(ada: Client) -> None:
    task = create(ada)
    changed(ada, task, {"title": "Changed"})
    first, second = (revert(ada, task, task["version"], headers={"Idempotency-Key": "once"}) for _ in range(2))
    assert (first.status, first.json()) == (second.status, second.json())
    assert second.headers["idempotency-replayed"] == "true"


def test_revert_task_tried_in_a_dry_run_shows_it_and_keeps_nothing(ada: Client, direct: str) -> None:
    task = create(ada)
    changed(ada, task, {"title": "Changed", "labels": ["new"]})
    before = stored(direct, task["user_id"])
    tried = ada.post(f"{path(task)}/revert?dry_run=true", {"version": task["version"]})
    assert (tried.status, tried.headers["dry-run"], content(tried.json())) == (200, "true", content(task))
    assert stored(direct, task["user_id"]) == before
    assert reverted(ada, task, task["version"])["version"] == tried.json()["version"]


def test_revert_task_of_another_user_is_not_found(ada: Client, bob: Client) -> None:
    task = create(ada)
    changed(ada, task, {"title": "Changed"})
    assert revert(bob, task, task["version"]).status == 404


def test_revert_task_twice_at_once_is_as_one_after_the_other(ada: Client, direct: str) -> None:
    together = Barrier(2)

    def run(task: dict[str, Any], version: int) -> Reply:
        together.wait(60)
        return revert(ada, task, version)

    with ThreadPoolExecutor(2) as pool:
        for _ in range(30):
            task = create(ada, labels=["one"])
            versions = [task, changed(ada, task, {"labels": ["two"], "status": "completed"})]
            now = changed(ada, task, {"labels": [], "title": "Now"})
            futures = [pool.submit(run, task, each["version"]) for each in versions]
            replies = sorted((each.result().json() for each in futures), key=lambda each: each["version"])
            assert [each["version"] for each in replies] == [now["version"] + 1, now["version"] + 2]
            assert ada.get(path(task)).json() == replies[1]
            assert content(replies[1]) in map(content, versions)
    assert wrong(direct, task) == []
