"""Tasks for tests: made, and found again."""

from typing import Any

from tests.support.client import Client


def create(client: Client, title: str = "Buy milk", **fields: Any) -> dict[str, Any]:
    reply = client.post("/api/v1/me/tasks", {"title": title, **fields})
    assert reply.status == 201, reply.body
    task: dict[str, Any] = reply.json()
    return task


def path(task: dict[str, Any]) -> str:
    return f"/api/v1/me/tasks/{task['id']}"
