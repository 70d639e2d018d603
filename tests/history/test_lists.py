"""The history as clients read it: of one task, and of all."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.support.client import Client
from tests.support.credentials import SECRET
from tests.support.rows import rows
from tests.support.tasks import create, path
from todo_api.history.service import HistoryFilter
from todo_api.lists import CursorSigner

HISTORY = "/api/v1/me/history"
PROJECTS = "/api/v1/me/projects"
UNKNOWN = "01932c07-9f7a-7c1d-b6a1-5a2f0f5d1c99"


def read(client: Client, place: str = HISTORY, **filters: Any) -> dict[str, Any]:
    """Return a page."""
    query = "&".join(f"{name.rstrip('_')}={value}" for name, value in filters.items())
    reply = client.get(f"{place}?{query}".rstrip("?"))
    assert reply.status == 200, reply.body
    page: dict[str, Any] = reply.json()
    return page


def walk(client: Client, place: str, limit: int, **filters: Any) -> list[dict[str, Any]]:
    """Return the entries of all pages."""
    page = read(client, place, limit=limit, **filters)
    found = page["items"]
    while page["next_cursor"]:
        assert len(page["items"]) == limit
        page = read(client, place, limit=limit, cursor=page["next_cursor"], **filters)
        found += page["items"]
    return list(found)


def change(client: Client, count: int) -> dict[str, Any]:
    """Return a task whose title has changed so many times: to the numbers from 1 on."""
    task = create(client, "0")
    for number in range(1, count + 1):
        client.patch(path(task), {"title": str(number)})
    return task


def test_list_task_history_has_who_did_what_the_newest_first(ada: Client) -> None:
    task = create(ada, "Pack")
    titled = ada.patch(path(task), {"title": "Pack: boots", "priority": "high"}).json()
    done = ada.patch(f"{path(task)}/complete").json()
    page = read(ada, f"{path(task)}/history")
    actor = {"kind": "token", "id": None, "name": None}
    common = {"kind": "task", "id": task["id"], "actor": actor, "cut": False}
    changes = {"status": ["pending", "completed"], "completed_at": [None, done["completed_at"]]}
    assert page == {
        "items": [
            {"seq": done["version"], "action": "completed", "at": done["updated_at"], "changes": changes, **common},
            {
                "seq": titled["version"],
                "action": "updated",
                "at": titled["updated_at"],
                "changes": {"title": ["Pack", "Pack: boots"], "priority": ["none", "high"]},
                **common,
            },
        ],
        "next_cursor": None,
    }


def test_list_task_history_of_a_new_task_is_empty_and_of_none_is_404(ada: Client, bob: Client) -> None:
    task = create(ada)
    bob_s = change(bob, 1)
    assert read(ada, f"{path(task)}/history")["items"] == []
    for unknown in (bob_s["id"], UNKNOWN):
        assert ada.get(f"{path({'id': unknown})}/history").status == 404


def test_list_task_history_of_a_project_is_404(ada: Client) -> None:
    create(ada)
    project = ada.post(PROJECTS, {"name": "House"}).json()
    ada.patch(f"{PROJECTS}/{project['id']}", {"name": "Garden"})
    assert ada.get(f"{path(project)}/history").status == 404


@pytest.mark.parametrize("permanent", ["false", "true"])
def test_list_task_history_of_a_deleted_task_can_be_read(ada: Client, permanent: str) -> None:
    task = change(ada, 1)
    assert ada.delete(f"{path(task)}?permanent={permanent}").status == 204
    actions = [entry["action"] for entry in read(ada, f"{path(task)}/history")["items"]]
    assert actions == ["deleted" if permanent == "true" else "trashed", "updated"]


@pytest.mark.parametrize("limit", [1, 3, 100])
def test_list_task_history_by_pages_has_each_entry_once(ada: Client, limit: int) -> None:
    task = change(ada, 7)
    change(ada, 2)
    titles = [entry["changes"]["title"][1] for entry in walk(ada, f"{path(task)}/history", limit)]
    assert titles == ["7", "6", "5", "4", "3", "2", "1"]


@pytest.mark.parametrize("limit", [1, 2, 5, 100])
def test_list_history_by_pages_has_each_entry_of_everything_once(ada: Client, bob: Client, limit: int) -> None:
    """Also where a page ends within one write."""
    change(bob, 1)
    task = change(ada, 2)
    project = ada.post(PROJECTS, {"name": "House"}).json()
    ada.patch(f"{PROJECTS}/{project['id']}", {"name": "Garden"})
    labelled = {create(ada, labels=["home"])["id"] for _ in range(3)}
    renamed = ada.patch("/api/v1/me/labels/home", {"name": "House"}).json()["version"]
    found = walk(ada, HISTORY, limit)
    assert {(entry["seq"], entry["id"]) for entry in found[:3]} == {(renamed, id_) for id_ in labelled}
    assert [(entry["kind"], entry["id"]) for entry in found[3:]] == [
        ("project", project["id"]),
        ("task", task["id"]),
        ("task", task["id"]),
    ]


def test_list_history_while_it_grows_goes_on_where_it_was(ada: Client) -> None:
    task = change(ada, 4)
    first = read(ada, limit=2)
    ada.patch(path(task), {"title": "later"})
    second = read(ada, limit=2, cursor=first["next_cursor"])
    assert [entry["changes"]["title"][1] for entry in first["items"] + second["items"]] == ["4", "3", "2", "1"]


def test_list_history_from_a_time_and_to_another_has_what_is_between(ada: Client) -> None:
    """At `from` and later, and before `to`."""
    change(ada, 4)
    fourth, third, second, first = read(ada)["items"]
    between = read(ada, from_=second["at"], to=fourth["at"])["items"]
    assert between == [third, second]
    assert read(ada, to=first["at"])["items"] == read(ada, from_=first["at"], to=first["at"])["items"] == []
    after = datetime.fromisoformat(fourth["at"]) + timedelta(microseconds=1)
    assert read(ada, from_=after.isoformat().replace("+00:00", "Z"))["items"] == []
    assert walk(ada, HISTORY, 1, from_=second["at"], to=fourth["at"]) == [third, second]


def test_list_history_from_after_to_is_refused(ada: Client) -> None:
    reply = ada.get(f"{HISTORY}?from=2026-11-20T00:00:00.000001Z&to=2026-11-20T00:00:00Z")
    assert (reply.status, reply.json()["errors"][0]["pointer"]) == (400, "/from")
    assert reply.json()["errors"][0]["code"] == "conflicting"


def test_list_history_by_actor_and_action_has_theirs(ada: Client, anonymous: Client) -> None:
    task = change(ada, 1)
    made = ada.post("/api/v1/me/keys", {"name": "Nightly", "scopes": ["tasks:read", "tasks:write"]}).json()
    agent = anonymous.signed_in(made["key"])
    agent.patch(path(task), {"title": "agent"})
    agent.patch(f"{path(task)}/complete")
    ada.patch(f"{path(task)}/complete")
    by_agent = read(agent, actor_id=made["id"])["items"]
    actor = {"kind": "api_key", "id": made["id"], "name": "Nightly"}
    assert [(entry["action"], entry["actor"]) for entry in by_agent] == [("completed", actor), ("updated", actor)]
    assert read(ada, actor_id=made["id"].upper())["items"] == by_agent
    assert [entry["action"] for entry in read(ada, action="reopened")["items"]] == ["reopened"]
    assert read(ada, action="completed", actor_id=made["id"])["items"] == by_agent[:1]
    assert read(ada, actor_id=UNKNOWN)["items"] == []


def test_cursor_of_another_list_is_refused(ada: Client, bob: Client) -> None:
    task, other = change(ada, 2), change(ada, 2)
    change(bob, 2)
    cursor = read(ada, limit=1)["next_cursor"]
    of_task = read(ada, f"{path(task)}/history", limit=1)["next_cursor"]
    for client, place, sent in (
        (ada, f"{HISTORY}?action=updated", cursor),
        (ada, f"{HISTORY}?to=2030-01-01T00:00:00Z", cursor),
        (ada, f"{HISTORY}?limit=1", of_task),
        (ada, f"{path(task)}/history?limit=1", cursor),
        (ada, f"{path(other)}/history?limit=1", of_task),
        (bob, f"{HISTORY}?limit=1", cursor),
    ):
        reply = client.get(f"{place}&cursor={sent}")
        assert (reply.status, reply.code) == (400, "invalid_cursor"), place


def test_cursor_of_another_form_is_refused(ada: Client) -> None:
    scope = f"history of {change(ada, 2)['user_id']!r}: {HistoryFilter()!r}"
    signer = CursorSigner(SECRET.encode())
    assert signer.open(read(ada, limit=1)["next_cursor"], scope)
    for content in (b"of another release", b"[1, 2]"):
        reply = ada.get(f"{HISTORY}?cursor={signer.seal(content, scope)}")
        assert (reply.status, reply.code) == (400, "invalid_cursor")


@pytest.mark.parametrize("of_task", [False, True])
def test_history_that_the_client_knows_is_304_until_the_next_write(ada: Client, of_task: bool) -> None:
    task = change(ada, 1)
    place = f"{path(task)}/history" if of_task else HISTORY
    tag = ada.get(place).headers["etag"]
    assert ada.get(place, headers={"If-None-Match": tag}).status == 304
    assert ada.get(f"{path({'id': UNKNOWN})}/history", headers={"If-None-Match": tag}).status == 404
    ada.patch(path(task), {"title": "x"})
    reply = ada.get(place, headers={"If-None-Match": tag})
    assert (reply.status, len(reply.json()["items"])) == (200, 2)


def test_list_history_of_who_has_nothing_is_empty(ada: Client) -> None:
    assert read(ada) == {"items": [], "next_cursor": None}


def test_list_history_ends_a_page_at_2_mib(ada: Client, direct: str) -> None:
    task = create(ada)
    text = "\U00010348" * 4900
    rows(
        direct,
        "INSERT INTO history (user_id, seq, version_before, kind, id, action, at, changes, cut)"
        f" SELECT '{task['user_id']}', 10 + n, 1, 'task', '{task['id']}', 'updated', now(),"
        f" jsonb_build_object('description', jsonb_build_array('{text}'::text, '{text}'::text)), true"
        " FROM generate_series(1, 100) n",
    )
    reply = ada.get(f"{HISTORY}?limit=100")
    first = reply.json()
    assert len(reply.body) <= 2 * 1024 * 1024
    assert 0 < len(first["items"]) < 100
    second = read(ada, limit=100, cursor=first["next_cursor"])
    assert [entry["seq"] for entry in first["items"] + second["items"]] == [*range(110, 10, -1)]


def test_delete_account_leaves_no_history(user: Any, url: str) -> None:
    change(user.client, 1)
    assert len(read(user.client)["items"]) == 1
    rows(url, f"DELETE FROM users WHERE id = '{user.id}'")
    assert rows(url, f"SELECT count(*) FROM history WHERE user_id = '{user.id}'") == [(0,)]
