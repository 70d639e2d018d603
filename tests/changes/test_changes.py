"""The feed: what has changed since a client last asked, each object once and as it is now."""

from typing import Any
from uuid import uuid4

import pytest

from tests.support.client import Client
from tests.support.rows import rows
from tests.support.tasks import create, path

CHANGES = "/api/v1/me/changes"
PROJECTS = "/api/v1/me/projects"
LABELS = "/api/v1/me/labels"
TASKS = "/api/v1/me/tasks"


def read(client: Client, since: str | None = None, limit: int = 500) -> dict[str, Any]:
    """Return a page."""
    query = f"limit={limit}" + ("" if since is None else f"&since={since}")
    reply = client.get(f"{CHANGES}?{query}")
    assert reply.status == 200, reply.body
    page: dict[str, Any] = reply.json()
    return page


def next_of(client: Client) -> str:
    """Return the token of who has everything."""
    page = read(client)
    assert not page["more"]
    return str(page["next"])


def changed(client: Client, since: str) -> tuple[list[str], list[str], list[tuple[str, str]]]:
    """Return the ids of the tasks and projects that have changed, and kind and id of what is deleted, sorted."""
    page = read(client, since)
    assert (page["full"], page["more"]) == (False, False)
    tasks, projects = (sorted(each["id"] for each in page[name]) for name in ("tasks", "projects"))
    return tasks, projects, sorted((each["kind"], each["id"]) for each in page["deleted"])


def project(client: Client, name: str = "Kitchen", **members: str) -> dict[str, Any]:
    """Return a new project."""
    made: dict[str, Any] = client.post(PROJECTS, {"name": name, **members}).json()
    return made


def test_list_changes_without_since_has_everything_as_it_is(ada: Client, bob: Client) -> None:
    kitchen = project(ada)
    tasks = [
        create(ada, "Bake", project_id=kitchen["id"]),
        create(
            ada,
            "Write",
            labels=["home"],
            links=[{"url": "https://example.com/", "title": None}],
            due={"date": "2026-12-01", "time": "09:00", "time_zone": "Europe/Berlin"},
        ),
    ]
    assert ada.delete(path(create(ada, "Gone"))).status == 204
    create(bob, "Hers alone")
    page = read(ada)
    assert page == {
        "full": True,
        "tasks": tasks,
        "projects": [kitchen],
        "deleted": [],
        "next": page["next"],
        "more": False,
    }


def test_list_changes_of_who_has_no_row_is_empty_and_goes_on_from_nothing(ada: Client) -> None:
    page = read(ada)
    assert page == {"full": True, "tasks": [], "projects": [], "deleted": [], "next": page["next"], "more": False}
    task = create(ada)
    page = read(ada, page["next"])
    assert (page["full"], page["tasks"]) == (True, [task])


def test_list_changes_since_the_last_write_is_empty_with_the_same_next(ada: Client) -> None:
    create(ada)
    since = next_of(ada)
    page = read(ada, since)
    assert page == {"full": False, "tasks": [], "projects": [], "deleted": [], "next": since, "more": False}


def test_list_changes_has_every_object_that_a_write_changed(ada: Client) -> None:
    kitchen, hall = project(ada), project(ada, "Hall")
    root = create(ada, project_id=kitchen["id"])
    child = create(ada, parent_id=root["id"])
    first, second = create(ada, labels=["home"]), create(ada, labels=["home", "errand"])
    everything: list[tuple[str, Any, tuple[list[dict[str, Any]], list[dict[str, Any]], list[tuple[str, Any]]]]] = [
        ("PATCH", (path(first), {"title": "Another"}), ([first], [], [])),
        ("PATCH", (f"{LABELS}/home", {"name": "House"}), ([first, second], [], [])),
        ("DELETE", (f"{LABELS}/errand", None), ([second], [], [])),
        ("POST", (f"{path(second)}/move", {"before": first["id"]}), ([second], [], [])),
        ("POST", (f"{path(root)}/move", {"project_id": hall["id"]}), ([root, child], [], [])),
        ("PATCH", (f"{path(root)}/complete", {"completed": True, "subtasks": "complete"}), ([root, child], [], [])),
        ("PATCH", (path(child), {"parent_id": None}), ([child], [], [])),
        ("PATCH", (path(child), {"parent_id": root["id"]}), ([child], [], [])),
        ("PATCH", (f"{PROJECTS}/{hall['id']}", {"name": "Corridor"}), ([], [hall], [])),
        ("POST", (f"{PROJECTS}/{hall['id']}/move", {"at": "first"}), ([], [hall], [])),
        ("DELETE", (path(first), None), ([], [], [("task", first)])),
        ("DELETE", (f"{PROJECTS}/{hall['id']}", None), ([], [], [("project", hall), ("task", child), ("task", root)])),
    ]
    for method, (address, body), (tasks, projects, deleted) in everything:
        since = next_of(ada)
        reply = ada.request(method, address, json_body=body)
        assert reply.status == (204 if method == "DELETE" and LABELS not in address else 200), (method, address)
        expected = (
            sorted(each["id"] for each in tasks),
            sorted(each["id"] for each in projects),
            sorted((kind, each["id"]) for kind, each in deleted),
        )
        assert changed(ada, since) == expected, (method, address)
        assert changed(ada, next_of(ada)) == ([], [], [])


def test_list_changes_after_a_subtree_is_deleted_has_all_of_it_at_one_number(ada: Client) -> None:
    root = create(ada)
    child = create(ada, parent_id=root["id"])
    grandchild = create(ada, parent_id=child["id"])
    kept = create(ada)
    since = next_of(ada)
    assert ada.delete(path(root)).status == 204
    page = read(ada, since)
    number = page["deleted"][0]["version"]
    assert number > kept["version"]
    gone = [{"kind": "task", "id": each["id"], "version": number} for each in (root, child, grandchild)]
    assert sorted(page["deleted"], key=str) == sorted(gone, key=str)


def test_list_changes_after_an_id_is_used_again_has_it_once_as_it_is(ada: Client) -> None:
    id_ = str(uuid4())
    since = next_of(ada) if create(ada) else ""
    for name in ("First", "Second"):
        made = create(ada, name, id=id_)
        page = read(ada, since)
        assert (page["tasks"], page["deleted"]) == ([made], [])
        assert ada.delete(f"{path(made)}?permanent=true").status == 204
        page = read(ada, since)
        assert (page["tasks"], [each["id"] for each in page["deleted"]]) == ([], [id_])
        assert page["deleted"][0]["version"] == made["version"] + 1


def test_list_changes_with_limit_1_gives_each_of_a_cascade_once(ada: Client) -> None:
    kitchen = project(ada)
    tasks = [create(ada, f"Task {number}", project_id=kitchen["id"], labels=["all"]) for number in range(8)]
    since = next_of(ada)
    assert ada.patch(f"{LABELS}/all", {"name": "some"}).status == 200
    seen, token, more = [], since, True
    while more:
        page = read(ada, token, 1)
        seen += [task["id"] for task in page["tasks"]]
        assert page["deleted"] == []
        token, more = page["next"], page["more"]
    assert sorted(seen) == sorted(task["id"] for task in tasks)
    assert ada.delete(f"{PROJECTS}/{kitchen['id']}").status == 204
    gone, more = [], True
    while more:
        page = read(ada, token, 1)
        assert (len(page["deleted"]), page["tasks"], page["projects"]) == (1, [], [])
        gone += [(each["kind"], each["id"]) for each in page["deleted"]]
        token, more = page["next"], page["more"]
    assert sorted(gone) == sorted([("project", kitchen["id"]), *(("task", task["id"]) for task in tasks)])


def test_list_changes_of_a_walk_from_nothing_tells_of_what_is_deleted_behind_it(ada: Client) -> None:
    before = create(ada, "Deleted before")
    tasks = [create(ada, f"Task {number}") for number in range(4)]
    assert ada.delete(path(before)).status == 204
    first = read(ada, limit=2)
    assert (first["full"], first["more"], first["tasks"]) == (True, True, tasks[:2])
    assert ada.delete(path(tasks[0])).status == 204
    assert ada.delete(path(tasks[3])).status == 204
    changed_later = ada.patch(path(tasks[1]), {"title": "Later"}).json()
    second = read(ada, first["next"], 2)
    assert (second["full"], second["more"], second["tasks"]) == (True, True, [tasks[2]])
    assert [each["id"] for each in second["deleted"]] == [tasks[0]["id"]]
    third = read(ada, second["next"], 2)
    assert (third["full"], third["more"], third["tasks"]) == (True, False, [changed_later])
    assert [each["id"] for each in third["deleted"]] == [tasks[3]["id"]]
    assert read(ada, third["next"])["full"] is False


def test_list_changes_with_known_tag_is_304_until_a_write(ada: Client) -> None:
    task = create(ada)
    since = next_of(ada)
    for query in ("", f"?since={since}"):
        tag = ada.get(f"{CHANGES}{query}").headers["etag"]
        reply = ada.get(f"{CHANGES}{query}", headers={"If-None-Match": tag})
        assert (reply.status, reply.headers["etag"], reply.body) == (304, tag, b"")
        assert ada.patch(f"{path(task)}/complete").status == 200
        reply = ada.get(f"{CHANGES}{query}", headers={"If-None-Match": tag})
        assert (reply.status, [each["id"] for each in reply.json()["tasks"]]) == (200, [task["id"]])


def test_list_changes_page_ends_before_2_mib_and_goes_on(ada: Client, url: str) -> None:
    """Texts of four bytes a character: a page of 500 whole ones would have 10 MB."""
    create(ada)
    since = next_of(ada)
    user_id = create(ada)["user_id"]
    rows(
        url,
        "INSERT INTO tasks (user_id, id, title, description, status, created_at, updated_at, version)"
        f" SELECT '{user_id}', gen_random_uuid(), 'Long', repeat('\U0001f600', 5000), 'pending', now(), now(), 2"
        " FROM generate_series(1, 250)",
    )
    seen: list[str] = []
    token, more, sizes = since, True, []
    while more:
        reply = ada.get(f"{CHANGES}?since={token}")
        page = reply.json()
        sizes.append(len(reply.body))
        seen += [task["id"] for task in page["tasks"]]
        token, more = page["next"], page["more"]
    assert (len(seen), len({*seen})) == (251, 251)
    assert max(sizes) <= 2 * 1024 * 1024 < sum(sizes)
    assert min(sizes[:-1]) > 2 * 1024 * 1024 - 30_000


def test_list_changes_with_a_token_that_is_changed_or_of_another_is_400(ada: Client, bob: Client) -> None:
    create(ada)
    create(bob)
    token = next_of(ada)
    cursor = ""
    create(ada)
    cursor = ada.get(f"{TASKS}?limit=1").json()["next_cursor"]
    other = "A" if token[20] != "A" else "B"
    forged = [token[:20] + other + token[21:], token[:-4], token + "AAAA", f"{token}=" if "=" in token else "x", cursor]
    for each in forged:
        assert (ada.get(f"{CHANGES}?since={each}").status, ada.get(f"{CHANGES}?since={each}").code) == (
            400,
            "invalid_cursor",
        )
    assert bob.get(f"{CHANGES}?since={token}").code == "invalid_cursor"
    assert ada.get(f"{CHANGES}?since={token}").status == 200


def test_list_changes_with_a_token_of_another_epoch_is_410(ada: Client, url: str) -> None:
    task = create(ada)
    token, tag = next_of(ada), ada.get(CHANGES).headers["etag"]
    rows(url, f"UPDATE users SET epoch = epoch + 1 WHERE id = '{task['user_id']}'")
    reply = ada.get(f"{CHANGES}?since={token}")
    assert (reply.status, reply.json()) == (
        410,
        {
            "type": "/problems/resync_required",
            "title": "Resync required",
            "status": 410,
            "detail": "Nothing can be said of the time since. Ask without since, and begin anew.",
            "code": "resync_required",
            "request_id": reply.headers["x-request-id"],
        },
    )
    assert ada.get(f"{CHANGES}?since={token}", headers={"If-None-Match": tag}).status == 410
    page = read(ada)
    assert (page["full"], page["tasks"]) == (True, [task])


@pytest.mark.parametrize(
    ("query", "status"),
    [("limit=1", 200), ("limit=1000", 200), ("limit=0", 400), ("limit=1001", 400), ("since=", 400), ("since=a!", 400)],
)
def test_list_changes_keeps_to_the_bounds_of_its_parameters(ada: Client, query: str, status: int) -> None:
    assert ada.get(f"{CHANGES}?{query}").status == status
