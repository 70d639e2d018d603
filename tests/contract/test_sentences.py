"""Sentences of the contract about projects, labels, moves and filters that no other test holds."""

from tests.support.client import Client

TASKS = "/api/v1/me/tasks"
PROJECTS = "/api/v1/me/projects"


def test_create_project_with_the_name_of_another_makes_two(ada: Client) -> None:
    """Two projects may have the same."""
    made = [ada.post(PROJECTS, {"name": "Twins"}) for _ in range(2)]
    assert [each.status for each in made] == [201, 201]
    assert made[0].json()["id"] != made[1].json()["id"]


def test_create_project_with_the_id_of_another_users_makes_it(ada: Client, bob: Client) -> None:
    """It is unique among the ids of your own projects: another user may have the same."""
    body = {"id": "0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d", "name": "Shared by chance"}
    made = [each.post(PROJECTS, body) for each in (ada, bob)]
    assert [(each.status, each.json()["id"]) for each in made] == [(201, body["id"])] * 2


def test_list_tasks_in_a_zone_without_a_filter_by_dates_is_as_without_the_zone(ada: Client) -> None:
    """Without one of these filters it has no effect. It has none on the order."""
    for day in ("2126-11-20", "2126-11-19"):
        ada.post(TASKS, {"title": "dated", "due": {"date": day}})
    there, here = (ada.get(f"{TASKS}?sort=due{more}").json() for more in ("&time_zone=Pacific/Kiritimati", ""))
    assert there == here
    assert there["time_zone"] is None


def test_update_task_to_another_project_puts_it_last_there_and_leaves_the_others(ada: Client) -> None:
    """Siblings keep their positions and versions."""
    project = ada.post(PROJECTS, {"name": "Full"}).json()["id"]
    there = [ada.post(TASKS, {"title": "there", "project_id": project}).json() for _ in range(3)]
    coming = ada.post(TASKS, {"title": "coming"}).json()["id"]
    ada.patch(f"{TASKS}/{coming}", {"project_id": project})
    listed = ada.get(f"{TASKS}?project_id={project}&sort=position").json()["items"]
    assert (listed[:3], listed[3]["id"]) == (there, coming)


def test_create_task_with_a_label_of_sixty_characters_composed_or_not(ada: Client) -> None:
    """It has at most 60 characters as it is sent, and composed."""
    composed, decomposed = "\u00e9", "e\u0301"
    assert ada.post(TASKS, {"title": "x", "labels": [composed * 60]}).status == 201
    assert ada.post(TASKS, {"title": "x", "labels": [decomposed * 30]}).status == 201
    assert ada.post(TASKS, {"title": "x", "labels": [decomposed * 31]}).json()["errors"][0]["code"] == "too_long"


def test_complete_task_reopened_with_a_way_for_subtasks_leaves_them(ada: Client) -> None:
    """It has no effect on reopening."""
    parent = ada.post(TASKS, {"title": "parent"}).json()["id"]
    ada.post(TASKS, {"title": "child", "parent_id": parent})
    ada.patch(f"{TASKS}/{parent}/complete", {"completed": True, "subtasks": "complete"})
    ada.patch(f"{TASKS}/{parent}/complete", {"completed": False, "subtasks": "complete"})
    (child,) = ada.get(f"{TASKS}?parent_id={parent}").json()["items"]
    assert child["status"] == "completed"
