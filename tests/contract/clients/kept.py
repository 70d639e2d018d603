"""A client of 1.0.0 saves tasks that have more than it knows: `python kept.py http://127.0.0.1:8000/api/v1 MEMBER...`.

The members are those that the contract of today marks with `x-put: keep`. The client is generated from the released contract.
"""

import sys
import uuid
from typing import Any

from released_client import AuthenticatedClient, Client
from released_client.api.accounts import issue_token, register_account
from released_client.api.tasks import get_task, replace_task
from released_client.models import AccessToken, Account, Credentials, Registration, Task, TaskInput

EMAIL, PASSWORD = "old@example.com", "correct horse battery staple"
PROJECT, PARENT = str(uuid.uuid4()), str(uuid.uuid4())

SAMPLES: dict[str, Any] = {
    "due": {"date": "2026-11-20", "time": "17:30", "time_zone": "Europe/Berlin"},
    "start": {"date": "2026-11-19", "time": None, "time_zone": None},
    "priority": "urgent",
    "links": [{"url": "https://bank.example/transfer", "title": "Transfer"}],
    "project_id": PROJECT,
    "parent_id": PARENT,
    "labels": ["errand", "home"],
}
"""Values of members, none of which a new task has by itself. A member without one is a mistake."""


def sign_in(url: str) -> AuthenticatedClient:
    """Registers, and comes back with a token."""
    account = register_account.sync(client=Client(url), body=Registration(EMAIL, PASSWORD))
    assert isinstance(account, Account), account
    token = issue_token.sync(client=Client(url), body=Credentials(EMAIL, PASSWORD))
    assert isinstance(token, AccessToken), token
    return AuthenticatedClient(url, token.access_token, raise_on_unexpected_status=True)


def ask(api: AuthenticatedClient, method: str, path: str, body: Any = None) -> Any:
    """Return what the service of today answers, with everything that the client does not know."""
    reply = api.get_httpx_client().request(method, path, json=body)
    reply.raise_for_status()
    return reply.json()


def saved(api: AuthenticatedClient, task: dict[str, Any]) -> dict[str, Any]:
    """Return the task after the client has read it and saved it with another title."""
    read = get_task.sync("me", task["id"], client=api)
    assert isinstance(read, Task), read
    body = TaskInput("Another title", description=read.description, status=read.status)
    written = replace_task.sync("me", task["id"], client=api, body=body)
    assert isinstance(written, Task), written
    found: dict[str, Any] = ask(api, "GET", f"/me/tasks/{task['id']}")
    assert found["title"] == "Another title"
    return found


def but_title(task: dict[str, Any]) -> dict[str, Any]:
    """Return the members that stay."""
    return {name: value for name, value in task.items() if name not in {"title", "version", "updated_at"}}


def main(url: str, members: list[str]) -> None:
    """Save a task with each member, and one with all of them."""
    api = sign_in(url)
    ask(api, "POST", "/me/projects", {"id": PROJECT, "name": "Kitchen"})
    ask(api, "POST", "/me/tasks", {"id": PARENT, "title": "Move house", "project_id": PROJECT})
    samples = {name: SAMPLES[name] for name in members}
    for several in (*({name: value} for name, value in samples.items()), samples):
        more = {"project_id": PROJECT} if "parent_id" in several else {}
        task = ask(api, "POST", "/me/tasks", {"title": "Rich", "description": "oat", **several, **more})
        assert {name: task[name] for name in several} == several, task
        assert but_title(saved(api, task)) == but_title(task), several


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
