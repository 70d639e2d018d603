"""A write taken back: everything that it did, if nothing of it has become something else since."""

import pytest

from tests.support.batches import done, new_id, stored
from tests.support.client import Client
from tests.support.reversions import ME, PROJECTS, batch_of_a_hundred, conflicts, revert, reverted, state
from tests.support.rows import rows
from tests.support.tasks import create, path
from tests.support.trees import chain
from todo_api.batch import service
from todo_api.undo import reversion


def test_revert_change_of_the_worked_example_names_the_task_and_takes_back_the_rest(ada: Client, direct: str) -> None:
    there, elsewhere = (ada.post(PROJECTS, {"name": name}).json()["id"] for name in ("there", "elsewhere"))
    tasks = [create(ada, str(number)) for number in range(50)]
    before = state(ada, direct)
    seq, _ = done(ada, *({"update_task": {"id": each["id"], "change": {"project_id": there}}} for each in tasks))
    ada.patch(path(tasks[7]), {"project_id": elsewhere})
    now = stored(direct, tasks[0]["user_id"])
    reply = revert(ada, seq)
    assert conflicts(reply) == [(tasks[7]["id"], ["/project_id"])]
    assert reply.json()["conflicts"][0]["kind"] == "task"
    assert conflicts(revert(ada, seq, {"force": False})) == [(tasks[7]["id"], ["/project_id"])]
    assert stored(direct, tasks[0]["user_id"]) == now
    number, count = reverted(ada, seq, {"force": True})
    assert (number, count) == (seq + 2, 49)
    after = state(ada, direct)
    assert after["tasks"].pop(tasks[7]["id"])["project_id"] == elsewhere
    del before["tasks"][tasks[7]["id"]]
    assert after == before
    actions = rows(
        direct,
        f"SELECT action, count(*) FROM history WHERE seq = {number} AND user_id = '{tasks[0]['user_id']}' GROUP BY 1",
    )
    assert actions == [("reverted", 49)]
    assert {each["version"] for each in ada.get(f"{ME}/tasks?project_id=none").json()["items"]} == {number}


@pytest.mark.parametrize(("name", "changed"), [("shop", 2), ("ERRAND", 2), ("errand", 1)])
def test_revert_change_of_a_renamed_label_brings_back_each_spelling(
    ada: Client, direct: str, name: str, changed: int
) -> None:
    for labels in (["errand"], ["Errand", "home"], ["shop"], []):
        create(ada, labels=labels)
    before = state(ada, direct)
    seq = ada.patch(f"{ME}/labels/errand", {"name": name, "merge": True}).json()["version"]
    after = state(ada, direct)
    number, count = reverted(ada, seq)
    assert (number, count) == (seq + 1, changed)
    assert state(ada, direct) == before
    assert reverted(ada, number) == (seq + 2, changed)
    assert state(ada, direct) == after


def test_revert_change_of_a_completed_subtree(ada: Client, direct: str) -> None:
    parent, child = chain(ada, 2)
    done_before = create(ada, parent_id=parent["id"], status="completed")
    create(ada, parent_id=child["id"], status="in_progress")
    before = state(ada, direct)
    seq = ada.patch(f"{path(parent)}/complete", {"completed": True, "subtasks": "complete"}).json()["version"]
    after = state(ada, direct)
    number, count = reverted(ada, seq)
    assert count == 3
    assert state(ada, direct) == before
    assert before["tasks"][done_before["id"]]["completed"]
    reverted(ada, number)
    assert state(ada, direct) == after


def test_revert_change_of_a_moved_subtree_with_more_below_it_now(ada: Client, direct: str) -> None:
    here, there = (ada.post(PROJECTS, {"name": name}).json()["id"] for name in ("here", "there"))
    parent, child, _ = chain(ada, 3, project_id=here)
    before = state(ada, direct)
    seq = ada.patch(path(parent), {"project_id": there}).json()["version"]
    new = create(ada, "new", parent_id=child["id"])
    reverted(ada, seq)
    now = state(ada, direct)
    assert now["tasks"].pop(new["id"])["project_id"] == here
    assert now == before


def test_revert_change_of_a_move_brings_it_back_to_its_place_also_if_it_was_sorted_since(ada: Client) -> None:
    project = ada.post(PROJECTS, {"name": "there"}).json()["id"]
    _, task, _ = (create(ada, title) for title in "abc")
    create(ada, "first there", project_id=project)
    seq = ada.patch(path(task), {"project_id": project}).json()["version"]
    ada.post(f"{path(task)}/move", {"at": "first"})
    reverted(ada, seq)
    order = ada.get(f"{ME}/tasks?project_id=none&sort=position").json()["items"]
    assert [each["title"] for each in order] == ["a", "b", "c"]
    sorted_ = ada.post(f"{path(task)}/move", {"at": "first"}).json()
    ada.post(f"{path(task)}/move", {"at": "last"})
    assert reverted(ada, sorted_["version"])[1] == 0


def test_revert_change_that_put_tasks_upside_down(ada: Client, direct: str) -> None:
    """Each is moved below the other's old place: no order of single moves could take it back."""
    first, second, third = chain(ada, 3)
    before = state(ada, direct)
    seq, _ = done(
        ada,
        {"move_task": {"id": third["id"], "parent_id": None}},
        {"move_task": {"id": first["id"], "parent_id": third["id"]}},
        {"move_task": {"id": second["id"], "parent_id": None}},
    )
    after = state(ada, direct)
    number, _ = reverted(ada, seq)
    assert state(ada, direct) == before
    reverted(ada, number)
    assert state(ada, direct) == after


def test_revert_change_twice_writes_once(ada: Client, direct: str) -> None:
    task = create(ada)
    seq = ada.patch(path(task), {"title": "Changed"}).json()["version"]
    number, _ = reverted(ada, seq)
    now = stored(direct, task["user_id"])
    assert reverted(ada, seq) == (number, 0)
    assert reverted(ada, seq, {}) == (number, 0)
    assert stored(direct, task["user_id"]) == now


def test_revert_change_of_a_creation_trashes_it(ada: Client, direct: str) -> None:
    kept = create(ada)
    before = state(ada, direct)
    task = create(ada, "Mistake", labels=["new"])
    number, count = reverted(ada, task["version"])
    assert (number, count) == (task["version"] + 1, 1)
    assert ada.get(path(task)).status == 404
    assert state(ada, direct) == before
    project = ada.post(PROJECTS, {"name": "Mistake"}).json()
    create(ada, "In it", project_id=project["id"], id=(inside := new_id()))
    assert conflicts(revert(ada, project["version"])) == [(inside, ["/project_id"])]
    ada.delete(f"{ME}/tasks/{inside}")
    number, count = reverted(ada, project["version"])
    assert count == 1
    assert state(ada, direct) == before
    assert create(ada)["version"] == number + 1
    assert ada.get(path(kept)).json() == kept
    number, count = reverted(ada, done(ada, *({"create_task": {"title": str(n)}} for n in range(3)))[0])
    assert (count, create(ada)["version"]) == (3, number + 1)
    assert reverted(ada, task["version"])[1] == 0


def test_revert_change_of_a_creation_that_was_changed_is_a_conflict(ada: Client) -> None:
    task, moved = create(ada), create(ada)
    ada.patch(path(task), {"title": "Mine", "labels": ["new"]})
    assert conflicts(revert(ada, task["version"])) == [(task["id"], ["/labels", "/title"])]
    assert reverted(ada, task["version"], {"force": True})[1] == 0
    assert ada.get(path(task)).status == 200
    ada.post(f"{path(moved)}/move", {"at": "first"})
    assert reverted(ada, moved["version"])[1] == 1


def test_revert_change_of_a_creation_with_something_else_below_it_is_a_conflict(ada: Client, direct: str) -> None:
    above, below, project = new_id(), new_id(), new_id()
    seq, _ = done(
        ada,
        {"create_project": {"id": project, "name": "New"}},
        {"create_task": {"id": above, "title": "above", "project_id": project}},
        {"create_task": {"id": below, "title": "below", "parent_id": above}},
        {"create_task": {"title": "beside"}},
    )
    other = create(ada, "other", parent_id=below)
    assert conflicts(revert(ada, seq)) == [(other["id"], ["/parent_id"])]
    _, count = reverted(ada, seq, {"force": True})
    assert count == 1
    assert {each["id"] for each in ada.get(f"{ME}/tasks").json()["items"]} == {above, below, other["id"]}
    moved = ada.patch(path(other), {"parent_id": None, "project_id": project}).json()
    assert conflicts(revert(ada, seq)) == [(other["id"], ["/project_id"])]
    _, count = reverted(ada, seq, {"force": True})
    assert count == 2
    assert ada.get(f"{PROJECTS}/{project}").status == 200
    ada.delete(path(moved))
    reverted(ada, seq)
    assert ada.get(f"{PROJECTS}/{project}").status == 404


def test_revert_change_takes_old_tasks_out_of_what_it_trashes(ada: Client, direct: str) -> None:
    parent, child = chain(ada, 2)
    before = state(ada, direct)
    project, above = new_id(), new_id()
    seq, _ = done(
        ada,
        {"create_project": {"id": project, "name": "New"}},
        {"create_task": {"id": above, "title": "above", "project_id": project}},
        {"move_task": {"id": parent["id"], "parent_id": above}},
        {"update_task": {"id": child["id"], "change": {"title": "changed", "labels": ["new"]}}},
    )
    assert ada.get(path(child)).json()["project_id"] == project
    reverted(ada, seq)
    assert state(ada, direct) == before


def test_revert_change_of_projects(ada: Client, direct: str) -> None:
    first, second, third = (ada.post(PROJECTS, {"name": name, "color": "#2f6f4e"}).json() for name in "abc")
    before = state(ada, direct)
    seq, _ = done(
        ada,
        {"update_project": {"id": first["id"], "change": {"name": "Changed", "description": "New.", "color": None}}},
        {"move_project": {"id": third["id"], "at": "first"}},
    )
    after = state(ada, direct)
    number, count = reverted(ada, seq)
    assert count == 2
    assert state(ada, direct) == before
    reverted(ada, number)
    assert state(ada, direct) == after
    ada.patch(f"{PROJECTS}/{first['id']}", {"name": "Mine"})
    assert conflicts(revert(ada, seq)) == [(first["id"], ["/name"])]
    assert second["position"] < third["position"]


def test_revert_change_names_what_became_something_else_and_leaves_it_by_force(ada: Client) -> None:
    task = create(ada, due={"date": "2026-12-01"})
    seq = ada.patch(
        path(task), {"title": "S", "status": "completed", "due": {"date": "2026-12-02"}, "labels": ["s"]}
    ).json()["version"]
    ada.patch(path(task), {"status": "pending", "title": "Mine"})
    assert conflicts(revert(ada, seq)) == [(task["id"], ["/title"])]
    ada.patch(path(task), {"status": "completed"})
    assert conflicts(revert(ada, seq)) == [(task["id"], ["/completed_at", "/title"])]
    assert reverted(ada, seq, {"force": True})[1] == 1
    now = ada.get(path(task)).json()
    assert (now["title"], now["status"], now["labels"], now["due"]["date"]) == ("Mine", "completed", [], "2026-12-01")


def test_revert_change_of_a_move_whose_way_back_is_gone_is_a_conflict(ada: Client) -> None:
    project = ada.post(PROJECTS, {"name": "gone"}).json()["id"]
    parent, task = create(ada, "parent"), create(ada, project_id=project)
    child = create(ada, parent_id=parent["id"])
    seq, _ = done(
        ada,
        {"update_task": {"id": task["id"], "change": {"project_id": None, "title": "S"}}},
        {"update_task": {"id": child["id"], "change": {"parent_id": None}}},
    )
    ada.delete(f"{PROJECTS}/{project}")
    ada.delete(path(parent))
    expected = sorted([(task["id"], ["/project_id"]), (child["id"], ["/parent_id"])])
    assert conflicts(revert(ada, seq)) == expected
    assert reverted(ada, seq, {"force": True})[1] == 1
    assert ada.get(path(task)).json()["title"] == task["title"]


def test_revert_change_below_itself_is_a_conflict_by_force_as_well(ada: Client, direct: str) -> None:
    parent, task = chain(ada, 2)
    seq = ada.patch(path(task), {"parent_id": None}).json()["version"]
    ada.patch(path(parent), {"parent_id": task["id"]})
    now = stored(direct, task["user_id"])
    for force in (False, True):
        assert conflicts(revert(ada, seq, {"force": force})) == [(task["id"], ["/parent_id"])]
    assert stored(direct, task["user_id"]) == now


def test_revert_change_of_what_history_has_in_part_is_a_conflict(ada: Client) -> None:
    task = create(ada, description="\N{LEDGER}" * 3000)
    seq = ada.patch(path(task), {"description": None, "title": "S"}).json()["version"]
    assert conflicts(revert(ada, seq)) == [(task["id"], ["/description"])]
    assert reverted(ada, seq, {"force": True})[1] == 1
    now = ada.get(path(task)).json()
    assert (now["title"], now["description"]) == (task["title"], None)


def test_revert_change_to_what_history_has_in_part_is_a_conflict_also_if_that_part_is_all_there_is_now(
    ada: Client,
) -> None:
    task = create(ada)
    seq = ada.patch(path(task), {"description": "\N{LEDGER}" * 3000}).json()["version"]
    assert ada.patch(path(task), {"description": "\N{LEDGER}" * 2048}).status == 200
    assert conflicts(revert(ada, seq)) == [(task["id"], ["/description"])]


def test_revert_change_with_a_start_after_its_due_now_is_a_conflict(ada: Client) -> None:
    task = create(ada, start={"date": "2026-11-20"})
    seq = ada.patch(path(task), {"start": {"date": "2026-11-10"}}).json()["version"]
    ada.patch(path(task), {"due": {"date": "2026-11-15"}})
    assert conflicts(revert(ada, seq)) == [(task["id"], ["/start"])]


@pytest.mark.parametrize("force", [False, True])
def test_revert_change_that_is_no_write_of_the_user_is_not_found(ada: Client, bob: Client, force: bool) -> None:
    task = create(ada)
    for _ in range(5):
        create(bob)
    zone = ada.patch(f"{ME}/account", {"time_zone": "Europe/Berlin"})
    assert zone.status == 200
    for seq in (task["version"] + 1, task["version"] + 2, 9007199254740991):
        reply = revert(ada, seq, {"force": force})
        assert (reply.status, reply.json()["code"]) == (404, "not_found")


def test_revert_change_whose_history_is_gone_is_not_found(ada: Client, direct: str) -> None:
    task = create(ada)
    seq = ada.patch(path(task), {"title": "Changed"}).json()["version"]
    rows(direct, f"DELETE FROM history WHERE id = '{task['id']}'")
    now = stored(direct, task["user_id"])
    assert revert(ada, seq).status == 404
    assert stored(direct, task["user_id"]) == now


def test_revert_change_of_another_task_that_had_its_id_leaves_the_present_one(ada: Client) -> None:
    former = create(ada, "Former")
    first = former["version"]
    ada.patch(path(former), {"title": "Changed"})
    ada.delete(path(former))
    assert ada.post(f"{ME}/trash/{former['id']}/restore").status == 200
    ada.delete(f"{path(former)}?permanent=true")
    task = create(ada, "Changed", id=former["id"])
    for seq in (first + 1, first + 4):  # the change, and the deletion for good
        assert conflicts(revert(ada, seq)) == [(task["id"], [])]
        assert revert(ada, seq, {"force": True}).json()["count"] == 0
    for seq in (first, first + 3):  # the creation, and the restore: undone already
        assert revert(ada, seq).json()["count"] == 0
    assert ada.get(path(task)).json() == task


def test_revert_change_twice_with_one_key_takes_effect_once(ada: Client) -> None:
    task = create(ada)
    seq = ada.patch(path(task), {"title": "Changed"}).json()["version"]
    first, second = (revert(ada, seq, headers={"Idempotency-Key": "once"}) for _ in range(2))
    assert first.json() == second.json() == {"seq": seq + 1, "count": 1}
    assert second.headers["idempotency-replayed"] == "true"


def test_revert_change_tried_in_a_dry_run_keeps_nothing(ada: Client, direct: str) -> None:
    task = create(ada)
    seq, _ = done(ada, {"create_task": {"title": "new"}}, {"update_task": {"id": task["id"], "change": {"title": "S"}}})
    now = stored(direct, task["user_id"])
    tried = ada.post(f"{ME}/changes/{seq}/revert?dry_run=true")
    assert (tried.json(), tried.headers["dry-run"]) == ({"seq": seq + 1, "count": 2}, "true")
    assert stored(direct, task["user_id"]) == now
    assert reverted(ada, seq) == (seq + 1, 2)


def test_revert_change_of_a_batch_of_a_hundred_gives_the_state_before_and_again_after(
    ada: Client, direct: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "SECONDS", 600)
    monkeypatch.setattr(reversion, "SECONDS", 600)
    operations = batch_of_a_hundred(ada)
    assert len(operations) == 100
    before = state(ada, direct)
    seq, _ = done(ada, *operations)
    after = state(ada, direct)
    number, _ = reverted(ada, seq)
    assert number == seq + 1
    assert state(ada, direct) == before
    assert after != before


def test_revert_change_of_what_is_deleted_is_a_conflict(ada: Client) -> None:
    first, second = create(ada), create(ada)
    seq, _ = done(ada, *({"update_task": {"id": each["id"], "change": {"title": "S"}}} for each in (first, second)))
    ada.delete(f"{path(first)}?permanent=true")
    assert conflicts(revert(ada, seq)) == [(first["id"], [])]
    assert reverted(ada, seq, {"force": True})[1] == 1
    assert ada.get(path(second)).json()["title"] == second["title"]
