"""The trash in the export of an account."""

from datetime import datetime, timedelta

from tests.support.batches import done
from tests.support.rows import rows
from tests.support.users import User

ACCOUNT = "/api/v1/me/account"
PROJECTS = "/api/v1/me/projects"
TASKS = "/api/v1/me/tasks"

ALONG = 120
"""Tasks of a project that is deleted: more than a batch has."""


def test_export_account_has_what_is_in_the_trash_as_it_was(user: User, url: str) -> None:
    client = user.client
    garden = client.post(PROJECTS, {"name": "Garden", "description": "whole", "color": "#2f6f4e"}).json()
    body = {"title": "Dig", "description": "deep", "labels": ["yard"], "links": [{"url": "https://a", "title": "A"}]}
    body |= {"due": {"date": "2026-11-20", "time": "17:30", "time_zone": "Europe/Berlin"}, "priority": "high"}
    root = client.post(TASKS, body).json()
    below = client.post(TASKS, {"title": "Plant", "parent_id": root["id"], "status": "completed"}).json()
    creations = [{"create_task": {"title": f"{number}", "project_id": garden["id"]}} for number in range(ALONG)]
    along = [task for half in (creations[:60], creations[60:]) for task in done(client, *half)[1]]
    key = client.post("/api/v1/me/keys", {"name": "Backup", "scopes": ["tasks:read", "tasks:write"]}).json()
    assert client.signed_in(key["key"]).delete(f"{PROJECTS}/{garden['id']}").status == 204
    assert client.delete(f"{TASKS}/{root['id']}").status == 204
    items = {item["id"]: item for item in client.get("/api/v1/me/trash").json()["items"]}
    told = client.get(f"{ACCOUNT}/export").json()["trash"]
    roots = {garden["id"]: garden["id"], root["id"]: root["id"], below["id"]: root["id"]}
    roots |= {task["id"]: garden["id"] for task in along}
    assert [entry["project"] for entry in told[:1]] == [garden]
    tasks = {task["id"]: task for task in (root, below, *along)}
    assert [entry["task"] for entry in told[1:]] == [tasks[id_] for id_ in sorted(tasks)]
    for entry in told:
        whole = entry["task"] or entry["project"]
        item = items[roots[whole["id"]]]
        assert entry["root_id"] == item["id"]
        assert {name: entry[name] for name in ("version", "actor")} == {
            name: item[name] for name in ("version", "actor")
        }
        assert datetime.fromisoformat(entry["purge_at"]) - datetime.fromisoformat(entry["trashed_at"]) == timedelta(30)
    assert items[garden["id"]]["actor"] == {"kind": "api_key", "id": key["id"], "name": "Backup"}
    rows(url, f"UPDATE trash SET trashed_at = now() - interval '31 days' WHERE root_id = '{garden['id']}'")
    assert [entry["task"]["id"] for entry in client.get(f"{ACCOUNT}/export").json()["trash"]] == sorted(
        (root["id"], below["id"])
    )
