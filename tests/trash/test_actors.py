"""Who deleted what is in the trash: the credential of the request, with the name that an API key had then."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.support.batches import done
from tests.support.client import Client
from tests.support.credentials import own_issuer
from tests.support.rows import rows
from tests.support.tasks import create, path
from tests.support.token_kinds import TOKEN_KINDS, new_token
from tests.support.trash import PROJECTS, TRASH, project, restore
from tests.support.trees import chain

EXPECTED = {
    "operator": "SELECT 'token', NULL, NULL",
    "account": "SELECT 'token', id::text, NULL FROM sessions WHERE user_id = '{user}'",
    "key": "SELECT 'api_key', id::text, name FROM api_keys WHERE user_id = '{user}'",
}
"""Kind, id and name of the credential of a user, by the kind of their token."""


def a_task(client: Client) -> None:
    client.delete(path(create(client)))


def a_tree(client: Client) -> None:
    client.delete(path(chain(client, 3)[0]))


def a_subtask(client: Client) -> None:
    client.delete(path(chain(client, 2)[1]))


def a_task_of_a_project(client: Client) -> None:
    client.delete(path(create(client, project_id=project(client)["id"])))


def a_project(client: Client) -> None:
    garden = project(client)["id"]
    create(client, parent_id=create(client, project_id=garden)["id"])
    create(client, project_id=garden)
    client.delete(f"{PROJECTS}/{garden}")


def by_a_batch(client: Client) -> None:
    done(client, {"delete_task": {"id": create(client)["id"]}})


def by_undo(client: Client) -> None:
    client.post(f"/api/v1/me/changes/{create(client)['version']}/revert", {})


DELETIONS = (a_task, a_tree, a_subtask, a_task_of_a_project, a_project, by_a_batch, by_undo)


def actor(client: Client) -> dict[str, Any]:
    """Return who deleted the only item of the trash."""
    (item,) = client.get(TRASH).json()["items"]
    found: dict[str, Any] = item["actor"]
    return found


@pytest.mark.parametrize("kind", TOKEN_KINDS)
@pytest.mark.parametrize("delete", DELETIONS, ids=[each.__name__ for each in DELETIONS])
def test_list_trash_tells_the_credential(
    anonymous: Client, direct: str, password_hash: str, kind: str, delete: Callable[[Client], None]
) -> None:
    client = anonymous.signed_in(new_token(direct, own_issuer(), kind, password_hash))
    user = create(client)["user_id"]
    delete(client)
    ((of_kind, id_, name),) = rows(direct, EXPECTED[kind].format(user=user))
    assert actor(client) == {"kind": of_kind, "id": id_, "name": name}
    along = "root_id <> id OR root_kind <> kind"
    assert rows(direct, f"SELECT 1 FROM trash WHERE user_id = '{user}' AND ({along}) AND actor IS NOT NULL") == []


def test_list_trash_tells_the_name_that_the_key_had_and_who_deleted_it_last(
    anonymous: Client, direct: str, password_hash: str
) -> None:
    keyed = anonymous.signed_in(new_token(direct, own_issuer(), "key", password_hash))
    task = create(keyed)
    other = keyed.signed_in(own_issuer().issue(task["user_id"]))
    keyed.delete(path(task))
    rows(direct, f"DELETE FROM api_keys WHERE user_id = '{task['user_id']}'")
    told = actor(other)
    assert (told["kind"], told["name"]) == ("api_key", "Theirs")
    assert restore(other, task).status == 200
    assert other.delete(path(task)).status == 204
    assert actor(other) == {"kind": "token", "id": None, "name": None}


def test_list_trash_of_what_the_release_before_deleted_tells_the_system(ada: Client, direct: str) -> None:
    """That release names nobody."""
    task = create(ada)
    rows(direct, f"UPDATE users SET seq = seq + 1 WHERE id = '{task['user_id']}'")
    rows(direct, f"DELETE FROM tasks WHERE user_id = '{task['user_id']}'")
    assert actor(ada) == {"kind": "system", "id": None, "name": None}
