"""The tasks of a user: what each operation does when all is well."""

from tests.client import Client


def test_create_task_with_title_gives_defaults(ada: Client) -> None:
    reply = ada.post("/api/v1/me/tasks", {"title": "Buy milk"})
    task = reply.json()
    assert reply.status == 201
    assert task == {
        "id": task["id"],
        "user_id": task["user_id"],
        "title": "Buy milk",
        "description": None,
        "status": "pending",
        "completed": False,
        "completed_at": None,
        "created_at": task["created_at"],
        "updated_at": task["created_at"],
        "version": 1,
    }
    assert reply.headers["etag"] == '"1"'
    assert reply.headers["location"] == f"/api/v1/me/tasks/{task['id']}"
    assert ada.get(reply.headers["location"]).json() == task
