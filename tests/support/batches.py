"""Batches for tests: sent, and what they must not leave behind."""

from typing import Any
from uuid import uuid4

from tests.support.client import Client, Reply
from tests.support.rows import rows

BATCH = "/api/v1/me/batch"

OF_USERS = ("users", "tasks", "projects", "task_labels")
"""Tables that a batch writes."""


def run(client: Client, *operations: dict[str, Any], **more: Any) -> Reply:
    """Return the reply to a batch of these operations."""
    return client.post(BATCH, {"operations": [*operations]}, **more)


def done(client: Client, *operations: dict[str, Any]) -> tuple[int, list[Any]]:
    """Return the number of a batch that succeeds, and what each operation was about."""
    reply = run(client, *operations)
    assert reply.status == 200, reply.content
    outcome = reply.json()
    return outcome["seq"], [each["task"] or each["project"] for each in outcome["results"]]


def new_id() -> str:
    """Return an id for something new."""
    return str(uuid4())


def stored(direct: str, user_id: str) -> list[Any]:
    """Return everything that batches write of a user, as the tables have it."""
    found = []
    for table in OF_USERS:
        owner = "id" if table == "users" else "user_id"
        found += rows(direct, f"SELECT '{table}', t::text FROM {table} t WHERE {owner} = '{user_id}' ORDER BY 2")
    return found
