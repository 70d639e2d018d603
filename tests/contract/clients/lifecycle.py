"""The life of tasks with the client that openapi-python-client generates: `python lifecycle.py http://127.0.0.1:8000/api/v1`.

mypy --strict reads it: each reply, problems too, is what its class says.
"""

import sys
from datetime import UTC, datetime, timedelta, timezone
from http import HTTPStatus

from task_api_client import AuthenticatedClient, Client
from task_api_client.api.accounts import get_account, issue_token, register_account
from task_api_client.api.api_keys import create_api_key
from task_api_client.api.tasks import complete_task, create_task, delete_task, get_task, list_tasks, update_task
from task_api_client.models import (
    AccessToken,
    Account,
    ApiKeyInput,
    Credentials,
    KeyScope,
    NewApiKey,
    PreconditionProblem,
    Problem,
    ProblemCode,
    Registration,
    Task,
    TaskCompletion,
    TaskInput,
    TaskPage,
    TaskPatch,
    TaskSort,
    TaskStatus,
    ValidationProblem,
    ViolationCode,
)
from task_api_client.types import UNSET, Unset

EMAIL, PASSWORD = "lin@example.com", "correct horse battery staple"


def sign_in(url: str, email: str = EMAIL) -> AuthenticatedClient:
    """Registers, and comes back with a token."""
    account = register_account.sync(client=Client(url), body=Registration(email, PASSWORD, name="Lin"))
    assert isinstance(account, Account), account
    token = issue_token.sync(client=Client(url), body=Credentials(email, PASSWORD))
    assert isinstance(token, AccessToken), token
    api = AuthenticatedClient(url, token.access_token, raise_on_unexpected_status=True)
    assert get_account.sync("me", client=api) == account
    return api


def create(api: AuthenticatedClient, title: str) -> Task:
    task = create_task.sync("me", client=api, body=TaskInput(title, description=None))
    assert isinstance(task, Task), task
    return task


def titles(api: AuthenticatedClient) -> list[str]:
    """Every title, read in pages of two."""
    found: list[str] = []
    cursor: str | Unset = UNSET
    while True:
        page = list_tasks.sync("me", client=api, sort=TaskSort.TITLE, limit=2, cursor=cursor)
        assert isinstance(page, TaskPage), page
        found += [task.title for task in page.items]
        if page.next_cursor is None:
            return found
        cursor = page.next_cursor


def create_key(api: AuthenticatedClient, end: datetime) -> None:
    """Makes a key with an end, which is the same instant in the reply."""
    body = ApiKeyInput("Until then", [KeyScope.TASKSREAD], expires_at=end)
    key = create_api_key.sync("me", client=api, body=body)
    assert isinstance(key, NewApiKey), key
    assert key.expires_at == end, key.expires_at


def main(url: str) -> None:
    api = sign_in(url)
    create_key(api, datetime(2997, 11, 20, tzinfo=UTC))
    create_key(api, datetime(2997, 11, 20, 1, 2, 3, 456789, tzinfo=timezone(timedelta(hours=14))))
    tasks = [create(api, title) for title in ("Answer mail", "Buy milk", "Call Ada", "Dust", "Eat")]
    assert titles(api) == [task.title for task in tasks]
    first = tasks[0]

    changed = update_task.sync(
        "me",
        first.id,
        client=api,
        body=TaskPatch(status=TaskStatus.IN_PROGRESS, description="All of it"),
        if_match=f'"{first.version}"',
    )
    assert isinstance(changed, Task), changed
    assert (changed.status, changed.description, changed.title) == (TaskStatus.IN_PROGRESS, "All of it", first.title)

    lost = update_task.sync("me", first.id, client=api, body=TaskPatch(title="Lost"), if_match=f'"{first.version}"')
    assert isinstance(lost, PreconditionProblem), lost
    assert (lost.status, lost.code, lost.current) == (412, ProblemCode.PRECONDITION_FAILED, changed)

    refused = create_task.sync("me", client=api, body=TaskInput("x" * 256))
    assert isinstance(refused, ValidationProblem), refused
    assert not isinstance(refused.errors, Unset)
    (violation,) = refused.errors
    assert (violation.pointer, violation.code) == ("/title", ViolationCode.TOO_LONG)

    done = complete_task.sync("me", first.id, client=api, body=TaskCompletion(completed=True))
    assert isinstance(done, Task), done
    assert done.completed
    assert done.completed_at is not None
    assert done.completed_at >= done.created_at

    assert delete_task.sync_detailed("me", first.id, client=api).status_code == HTTPStatus.NO_CONTENT
    gone = get_task.sync("me", first.id, client=api)
    assert isinstance(gone, Problem), gone
    assert gone.code is ProblemCode.NOT_FOUND
    print("openapi-python-client: a life of tasks, each reply of its type")


if __name__ == "__main__":
    main(sys.argv[1])
