"""Who did it: the credential of the caller, with the name that an API key had then."""

import pytest

from tests.support.client import Client
from tests.support.credentials import own_issuer
from tests.support.rows import rows
from tests.support.tasks import create, path
from tests.support.token_kinds import TOKEN_KINDS, new_token
from todo_api.database.pool import Connection
from todo_api.database.transaction import _ACTOR

CREDENTIALS = {
    "operator": "SELECT 'token', NULL",
    "account": "SELECT 'token ' || id, NULL FROM sessions WHERE user_id = '{user}'",
    "key": "SELECT 'api_key ' || id, name FROM api_keys WHERE user_id = '{user}'",
}
"""The actor of a user's writes, and its name, by the kind of their token."""


def actors(url: str, user_id: str) -> list[tuple[str | None, str | None]]:
    """Return the actor of each row of a user's history, and its name."""
    return [
        (actor, name)
        for actor, name in rows(url, f"SELECT actor, actor_name FROM history WHERE user_id = '{user_id}' ORDER BY seq")
    ]


@pytest.mark.parametrize("kind", TOKEN_KINDS)
def test_every_kind_of_write_notes_the_credential(
    anonymous: Client, direct: str, password_hash: str, kind: str
) -> None:
    client = anonymous.signed_in(new_token(direct, own_issuer(), kind, password_hash))
    parent, task = create(client), create(client, labels=["home"])
    project = client.post("/api/v1/me/projects", {"name": "House"}).json()
    user = task["user_id"]
    (expected,) = rows(direct, CREDENTIALS[kind].format(user=user))
    for method, place, body, status in (
        ("PATCH", path(task), {"title": "x"}, 200),
        ("PATCH", f"{path(task)}/complete", None, 200),
        ("POST", f"{path(task)}/move", {"parent_id": parent["id"]}, 200),
        ("PATCH", "/api/v1/me/labels/home", {"name": "House"}, 200),
        ("PATCH", f"/api/v1/me/projects/{project['id']}", {"name": "Garden"}, 200),
        ("POST", "/api/v1/me/batch", {"operations": [{"delete_task": {"id": task["id"]}}]}, 200),
        ("DELETE", f"/api/v1/me/projects/{project['id']}", None, 204),
        ("DELETE", path(parent), None, 204),
        ("POST", f"/api/v1/me/trash/{parent['id']}/restore", None, 200),
    ):
        before = len(actors(direct, user))
        assert client.request(method, place, json_body=body).status == status
        assert actors(direct, user)[before:] == [expected], place
    found = client.get("/api/v1/me/history").json()["items"]
    id_ = found[0]["actor"]["id"]
    if id_ is not None:  # an operator's token has none
        assert client.get(f"/api/v1/me/history?actor_id={id_}").json()["items"] == found


def test_name_of_an_api_key_is_that_of_the_time(anonymous: Client, direct: str, password_hash: str) -> None:
    client = anonymous.signed_in(new_token(direct, own_issuer(), "key", password_hash))
    task = create(client)
    client.patch(path(task), {"title": "x"})
    rows(direct, f"UPDATE api_keys SET name = 'Another' WHERE user_id = '{task['user_id']}'")
    client.patch(path(task), {"title": "y"})
    assert [name for _, name in actors(direct, task["user_id"])] == ["Theirs", "Another"]


def test_session_whose_id_is_none_of_ours_is_not_told(anonymous: Client, direct: str) -> None:
    """An operator's own token may have any `sid`."""
    rows(direct, "INSERT INTO users (id) VALUES ('strange')")
    client = anonymous.signed_in(own_issuer().issue("strange", "no uuid"))
    client.patch(path(create(client)), {"title": "x"})
    assert actors(direct, "strange") == [("token", None)]


def test_write_without_an_actor_is_told_of_nobody(ada: Client, direct: str) -> None:
    """As one of the release before, which serves beside this one."""
    task = create(ada)
    rows(direct, f"UPDATE tasks SET title = 'x', version = 9, updated_at = now() WHERE id = '{task['id']}'")
    assert actors(direct, task["user_id"]) == [(None, None)]


def test_reads_send_no_actor(ada: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []
    run = Connection.run

    def noting(self: Connection, sql: str, *rest: object, **more: bool) -> object:
        sent.append(sql)
        return run(self, sql, *rest, **more)  # type: ignore[arg-type]  # as it was called

    task = create(ada)
    monkeypatch.setattr(Connection, "run", noting)
    for place in (path(task), "/api/v1/me/tasks", "/api/v1/me/projects", "/api/v1/me/labels", "/api/v1/me/changes"):
        assert ada.get(place).status == 200
    assert len(sent) == 5
    assert not any(_ACTOR in sql for sql in sent)
    assert ada.patch(path(task), {"title": "x"}).status == 200
    assert sum(_ACTOR in sql for sql in sent) == 1
