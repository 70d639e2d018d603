"""What a dry run leaves: a free connection, no lock, no id, no number; and what tells of it outside of the reply."""

import json
from collections.abc import Callable
from uuid import uuid4

import pytest

from tests.support.client import Client
from tests.support.credentials import SECRET
from tests.support.rows import rows
from todo_api.config import Config

ME = "/api/v1/me"
DRY = "?dry_run=true"
PAGE = "https://app.example.com"


def tasks(client: Client) -> dict[str, int]:
    return {each["title"]: each["version"] for each in client.get(f"{ME}/tasks").json()["items"]}


def test_create_task_dry_leaves_a_client_made_id_free(ada: Client) -> None:
    body = {"id": str(uuid4()), "title": "Of the client"}
    assert [ada.post(f"{ME}/tasks{DRY}", body).status for _ in range(2)] == [201, 201]
    assert ada.get(f"{ME}/tasks/{body['id']}").status == 404
    created = ada.post(f"{ME}/tasks", body)
    assert (created.status, created.json()["version"]) == (201, 1)


def test_update_task_dry_tells_the_version_that_the_write_gets(ada: Client) -> None:
    path = ada.post(f"{ME}/tasks", {"title": "One"}).headers["location"]
    tag = ada.get(f"{ME}/tasks").headers["etag"]
    dry = ada.patch(f"{path}{DRY}", {"title": "Two"})
    assert (dry.json()["title"], dry.json()["version"], dry.headers["etag"]) == ("Two", 2, '"2"')
    assert ada.get(f"{ME}/tasks", headers={"If-None-Match": tag}).status == 304
    assert ada.get(path, headers={"If-None-Match": '"1"'}).status == 304
    assert ada.patch(path, {"title": "Two"}).json()["version"] == 2


def test_update_task_dry_that_changes_nothing_tells_the_version_as_it_is(ada: Client) -> None:
    path = ada.post(f"{ME}/tasks", {"title": "One"}).headers["location"]
    dry = ada.patch(f"{path}{DRY}", {"title": "One"})
    assert (dry.status, dry.json()) == (200, ada.get(path).json())


def test_list_changes_after_dry_runs_tells_nothing(ada: Client) -> None:
    path = ada.post(f"{ME}/tasks", {"title": "One", "labels": ["home"]}).headers["location"]
    known = ada.get(f"{ME}/changes").json()["next"]
    assert ada.delete(f"{path}{DRY}").status == 204
    assert ada.delete(f"{ME}/labels/home{DRY}").json() == {"version": 2, "count": 1}
    assert ada.post(f"{ME}/batch{DRY}", {"operations": [{"create_task": {"title": "Two"}}]}).json()["seq"] == 2
    page = ada.get(f"{ME}/changes?since={known}").json()
    assert [page["tasks"], page["projects"], page["deleted"], page["more"]] == [[], [], [], False]


def test_delete_project_dry_keeps_the_project_and_all_its_tasks(ada: Client) -> None:
    project = ada.post(f"{ME}/projects", {"name": "Kitchen"})
    for number in range(3):
        ada.post(f"{ME}/tasks", {"title": f"Task {number}", "project_id": project.json()["id"]})
    before = tasks(ada)
    assert ada.delete(f"{project.headers['location']}{DRY}").status == 204
    assert ada.get(project.headers["location"]).json() == project.json()
    assert tasks(ada) == before


def test_rename_label_dry_counts_the_tasks_and_merges_none(ada: Client) -> None:
    for labels in (["home"], ["Home", "errand"], ["errand"]):
        ada.post(f"{ME}/tasks", {"title": "Labelled", "labels": labels})
    before = [each["labels"] for each in ada.get(f"{ME}/tasks").json()["items"]]
    dry = ada.patch(f"{ME}/labels/home{DRY}", {"name": "Errand", "merge": True}).json()
    assert [each["labels"] for each in ada.get(f"{ME}/tasks").json()["items"]] == before
    assert dry == ada.patch(f"{ME}/labels/home", {"name": "Errand", "merge": True}).json()


def test_complete_task_dry_with_subtasks_completes_none(ada: Client) -> None:
    top = ada.post(f"{ME}/tasks", {"title": "Top"}).json()["id"]
    ada.post(f"{ME}/tasks", {"title": "Below", "parent_id": top})
    before = tasks(ada)
    sent = {"completed": True, "subtasks": "complete"}
    assert ada.patch(f"{ME}/tasks/{top}/complete{DRY}", sent).json()["completed"] is True
    assert tasks(ada) == before


def test_dry_runs_without_end_leave_neither_connection_nor_lock(ada: Client, direct: str) -> None:
    """There are fewer connections than that."""
    path = ada.post(f"{ME}/tasks", {"title": "One"}).headers["location"]
    for number in range(20):
        assert ada.patch(f"{path}{DRY}", {"title": f"Tried {number}"}).json()["version"] == 2
        assert ada.patch(f"{path}{DRY}", {"project_id": str(uuid4())}).status == 400
    held = (
        "SELECT (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in%'),"
        " (SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database"
        "  WHERE datname = current_database() AND pid <> pg_backend_pid())"
    )
    assert rows(direct, held) == [(0, 0)]
    assert ada.patch(path, {"title": "Written"}).json()["version"] == 2


def test_dry_run_counts_in_the_rate_limit(url: str, new_client: Callable[[Config], Client], ada: Client) -> None:
    limited = new_client(Config(database_url=url, jwt_secret=SECRET, rate_limit="2/minute")).signed_in(ada.token)
    replies = [limited.post(f"{ME}/tasks{DRY}", {"title": "Tried"}) for _ in range(3)]
    assert [each.status for each in replies] == [201, 201, 429]
    assert [each.headers["ratelimit"].split(";")[1] for each in replies[:2]] == ["r=1", "r=0"]


def test_dry_run_is_told_to_the_pages_of_an_allowed_origin(
    url: str, new_client: Callable[[Config], Client], ada: Client
) -> None:
    shared = new_client(Config(database_url=url, jwt_secret=SECRET, cors_origins=[PAGE])).signed_in(ada.token)
    reply = shared.post(f"{ME}/tasks{DRY}", {"title": "Tried"}, headers={"Origin": PAGE})
    assert reply.headers["dry-run"] == "true"
    assert "Dry-Run" in reply.headers["access-control-expose-headers"].split(", ")


@pytest.mark.parametrize(("query", "counted"), [(DRY, 1.0), ("", 0.0), ("?dry_run=false", 0.0)])
def test_dry_run_is_counted_apart(ada: Client, query: str, counted: float) -> None:
    def count() -> float:
        lines = ada.get("/metrics").content.decode().splitlines()
        (line,) = [line for line in lines if line.startswith('todo_api_dry_runs_total{operation="createTask"}')]
        return float(line.rpartition(" ")[2])

    before = count()
    assert ada.post(f"{ME}/tasks{query}", {"title": "Tried"}).status == 201
    assert count() - before == counted


def test_dry_run_of_json_with_a_mistake_says_so_as_well(ada: Client) -> None:
    """The header is there from the moment that the parameters are read."""
    reply = ada.post(f"{ME}/tasks{DRY}", content=b"{", headers={"Content-Type": "application/json"})
    assert (reply.status, json.loads(reply.content)["code"]) == (400, "malformed_json")
    assert reply.headers["dry-run"] == "true"
