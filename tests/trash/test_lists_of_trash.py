"""The list of what was deleted, and what deletes from it for good."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from tests.support.client import Client
from tests.support.credentials import SECRET
from tests.support.rows import rows
from tests.support.tasks import create, path
from tests.support.trash import PROJECTS, TRASH, project, restore, trashed
from tests.support.trees import chain
from todo_api.config import Config
from todo_api.lists import CursorSigner

TASKS = "/api/v1/me/tasks"


def deleted(client: Client, title: str = "Gone") -> dict[str, Any]:
    """Return a new task that is in the trash."""
    task = create(client, title)
    assert client.delete(path(task)).status == 204
    return task


def titles(client: Client) -> list[str]:
    return [item["title"] for item in client.get(TRASH).json()["items"]]


def test_list_trash_has_what_was_deleted_by_itself_the_latest_first(ada: Client, direct: str) -> None:
    assert ada.get(TRASH).json() == {"items": [], "next_cursor": None}
    line, garden = chain(ada, 3), project(ada)
    for _ in range(2):
        create(ada, project_id=garden["id"])
    assert ada.delete(path(line[2])).status == 204
    assert ada.delete(f"{PROJECTS}/{garden['id']}").status == 204
    assert ada.delete(path(line[0])).status == 204
    first, second, third = ada.get(TRASH).json()["items"]
    assert [(item["kind"], item["id"], item["title"], item["others"]) for item in (first, second, third)] == [
        ("task", line[0]["id"], "1", 1),
        ("project", garden["id"], "Garden", 2),
        ("task", line[2]["id"], "3", 0),
    ]
    assert first["version"] == second["version"] + 1 == third["version"] + 2
    trashed_at, purge_at = (datetime.fromisoformat(first[name]) for name in ("trashed_at", "purge_at"))
    assert purge_at - trashed_at == timedelta(days=30)
    ((at,),) = rows(direct, f"SELECT trashed_at FROM trash WHERE id = '{line[0]['id']}'")
    assert trashed_at == at


def test_list_trash_of_a_task_and_a_project_of_one_id_counts_what_went_along_with_each(ada: Client) -> None:
    garden = project(ada)
    task = create(ada, id=garden["id"])
    create(ada, parent_id=task["id"])
    for _ in range(2):
        create(ada, project_id=garden["id"])
    for address in (f"{PROJECTS}/{garden['id']}", path(task)):
        assert ada.delete(address).status == 204
    items = ada.get(TRASH).json()["items"]
    assert [(item["kind"], item["others"]) for item in items] == [("task", 1), ("project", 2)]


def test_list_trash_of_a_project_with_a_task_of_its_id_in_it_has_the_project_alone(ada: Client) -> None:
    garden = project(ada)
    create(ada, id=garden["id"], project_id=garden["id"])
    assert ada.delete(f"{PROJECTS}/{garden['id']}").status == 204
    assert [(item["kind"], item["others"]) for item in ada.get(TRASH).json()["items"]] == [("project", 1)]


def test_list_trash_pages_have_each_item_once(ada: Client, bob: Client, direct: str) -> None:
    """No cursor is another user's, also where both have the same epoch, which is left to chance."""
    names = [str(number) for number in range(5)]
    ids = [deleted(ada, name)["user_id"] for name in names]
    theirs = deleted(bob, "of Bob")["user_id"]
    found, cursor = [], ""
    while True:
        page = ada.get(f"{TRASH}?limit=2{cursor}").json()
        found.append([item["title"] for item in page["items"]])
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
        deleted(ada, "later")
    assert found == [["4", "3"], ["2", "1"], ["0"]]
    rows(direct, f"UPDATE users SET epoch = (SELECT epoch FROM users WHERE id = '{ids[0]}') WHERE id = '{theirs}'")
    assert bob.get(f"{TRASH}?limit=2{cursor}").code == "invalid_cursor"
    assert ada.get(f"{TRASH}?cursor=AAAA").code == "invalid_cursor"


def test_list_trash_with_a_cursor_of_another_epoch_is_400(ada: Client, direct: str) -> None:
    user_id = deleted(ada)["user_id"]
    deleted(ada)
    cursor = ada.get(f"{TRASH}?limit=1").json()["next_cursor"]
    assert ada.get(f"{TRASH}?limit=1&cursor={cursor}").status == 200
    rows(direct, f"UPDATE users SET epoch = epoch + 1 WHERE id = '{user_id}'")
    assert ada.get(f"{TRASH}?limit=1&cursor={cursor}").code == "invalid_cursor"


def test_list_trash_with_a_cursor_of_another_form_is_400(ada: Client) -> None:
    deleted(ada)
    scope = f"trash of {deleted(ada)['user_id']!r}"
    signer = CursorSigner(SECRET.encode())
    assert signer.open(ada.get(f"{TRASH}?limit=1").json()["next_cursor"], scope)
    assert ada.get(f"{TRASH}?cursor={signer.seal(b'of another release', scope)}").code == "invalid_cursor"


def test_list_trash_with_the_known_tag_is_304_until_a_write(ada: Client, direct: str) -> None:
    task, other = deleted(ada), deleted(ada)
    last = deleted(ada)

    def tag(known: str = "") -> tuple[int, str]:
        reply = ada.get(TRASH, headers={"If-None-Match": known})
        return reply.status, reply.headers["etag"]

    known = tag('"x"')[1]
    assert tag(known) == (304, known)
    assert restore(ada, other).status == 200
    for write in (f"{TRASH}/{task['id']}", TRASH):
        status, new = tag(known)
        assert (status, new == known) == (200, False)
        known = new
        assert ada.delete(write).status == 204
    status, known = tag(known)
    assert (status, titles(ada)) == (200, [])
    assert ada.delete(TRASH).status == 204
    assert tag(known) == (304, known)
    assert trashed(direct, last["user_id"]) == {}


def test_list_trash_once_an_item_is_kept_no_longer_is_sent_again(ada: Client, direct: str) -> None:
    """It goes by itself, which no write says: before the purge it is gone already."""
    old, _ = deleted(ada, "old"), deleted(ada, "new")
    known = ada.get(TRASH).headers["etag"]
    rows(direct, f"UPDATE trash SET trashed_at = now() - interval '30 days 1 s' WHERE id = '{old['id']}'")
    reply = ada.get(TRASH, headers={"If-None-Match": known})
    assert (reply.status, titles(ada)) == (200, ["new"])
    assert restore(ada, old).status == 404
    assert ada.delete(f"{TRASH}/{old['id']}").status == 404
    rows(direct, f"DELETE FROM trash WHERE id = '{old['id']}'")
    tag = reply.headers["etag"]
    assert ada.get(TRASH, headers={"If-None-Match": tag}).status == 304


def test_purge_item_deletes_it_for_good_with_what_went_along(ada: Client, bob: Client, direct: str) -> None:
    line, kept = chain(ada, 3), deleted(ada)
    assert ada.delete(path(line[0])).status == 204
    for client, id_ in ((ada, line[1]["id"]), (bob, line[0]["id"]), (ada, str(uuid4()))):
        assert client.delete(f"{TRASH}/{id_}").status == 404
    before = ada.get(TASKS).headers["etag"]
    assert ada.delete(f"{TRASH}/{line[0]['id']}").status == 204
    assert ada.get(TASKS).headers["etag"] != before
    assert ada.delete(f"{TRASH}/{line[0]['id']}").status == 404
    assert [*trashed(direct, kept["user_id"])] == [kept["id"]]
    assert {create(ada, id=task["id"])["id"] for task in line} == {task["id"] for task in line}


def test_empty_trash_deletes_all_of_it_for_good(ada: Client, bob: Client, direct: str) -> None:
    line, of_bob = chain(ada, 3), deleted(bob)
    for level in (2, 0):
        assert ada.delete(path(line[level])).status == 204
    assert ada.delete(TRASH).status == 204
    assert trashed(direct, line[0]["user_id"]) == {}
    assert [*trashed(direct, of_bob["user_id"])] == [of_bob["id"]]
    assert create(ada, id=line[2]["id"])["id"] == line[2]["id"]


@pytest.mark.parametrize("days", [0, 7, 365])
def test_list_trash_has_what_the_deployment_keeps(
    url: str, direct: str, new_client: Callable[[Config], Client], ada: Client, days: int
) -> None:
    config = Config(database_url=url, jwt_secret=SECRET, rate_limit="off", queue_limit=60_000, trash_days=days)
    client = new_client(config).signed_in(ada.token)
    for title, age in (("older", days + 1), ("old", max(days - 1, 0))):
        task = deleted(ada, title)
        rows(direct, f"UPDATE trash SET trashed_at = now() - interval '{age} days' WHERE id = '{task['id']}'")
    items = client.get(TRASH).json()["items"]
    assert [item["title"] for item in items] == (["old"] if days else [])
    for item in items:
        trashed_at, purge_at = (datetime.fromisoformat(item[name]) for name in ("trashed_at", "purge_at"))
        assert purge_at - trashed_at == timedelta(days=days)
