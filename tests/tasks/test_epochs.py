"""Tags, cursors and replies that were given before: good for the same user and the same life of the database, and nothing else."""

import base64
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.client import Client
from tests.support.credentials import SECRET, token
from tests.support.live import run
from tests.support.rows import rows
from tests.support.users import User
from todo_api.config import Config
from todo_api.provisioning import epochs

TASKS = "/api/v1/me/tasks"
ACCOUNT = "/api/v1/me/account"
LISTS = [TASKS, f"{TASKS}?status=pending", f"{TASKS}?q=milk&sort=title", f"{TASKS}?completed=false&limit=1"]


@pytest.fixture
def own_url(new_database: Callable[[], str]) -> str:
    return new_database()


@pytest.fixture
def service(own_url: str, new_client: Callable[[Config], Client]) -> Client:
    return new_client(Config(database_url=own_url, jwt_secret=SECRET, rate_limit="off"))


@pytest.mark.parametrize("address", [*LISTS, ACCOUNT])
def test_read_with_the_tag_of_another_user_at_the_same_number_gives_ones_own(
    ada: Client, bob: Client, address: str
) -> None:
    """As a browser sends it that both have used: the address is the same."""
    for who in (ada, bob):
        assert who.post(TASKS, {"title": "Buy milk"}).status == 201
    hers = ada.get(address)
    his = bob.get(address, headers={"If-None-Match": hers.headers["etag"]})
    assert his.status == 200
    assert his.headers["etag"] != hers.headers["etag"]
    assert his.json() != hers.json()
    assert bob.get(address, headers={"If-None-Match": f"{hers.headers['etag']}, {his.headers['etag']}"}).status == 304


@pytest.mark.parametrize("address", [*LISTS, ACCOUNT])
def test_read_by_a_user_without_a_row_with_the_tag_of_another_one_gives_ones_own(
    new_user: Callable[[], Client], address: str
) -> None:
    hers = new_user().get(address)
    assert new_user().get(address, headers={"If-None-Match": hers.headers["etag"]}).status == 200


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST", "DELETE"])
@pytest.mark.parametrize("address", [TASKS, ACCOUNT, "/api/v1/me/keys", "/api/v1/me/nothing", "/api/v1/nobody/tasks"])
def test_any_reply_to_a_token_varies_by_it(user: User, method: str, address: str) -> None:
    reply = user.client.request(method, address)
    varies = ", ".join(value for name, value in reply.header_list if name == "vary")
    assert "Authorization" in re.split(r", *", varies)


def test_reply_to_a_token_from_another_origin_varies_by_both(new_client: Callable[[Config], Client], url: str) -> None:
    origin = "https://tasks.example"
    service = new_client(Config(database_url=url, jwt_secret=SECRET, cors_origins=(origin,)))
    reply = service.signed_in(token("varies")).get(TASKS, headers={"Origin": origin})
    varies = [value for name, value in reply.header_list if name == "vary"]
    assert {*re.split(r", *", ", ".join(varies))} >= {"Authorization", "Origin"}


def test_new_epochs_make_tags_cursors_sessions_and_kept_replies_of_before_good_no_more(
    service: Client, own_url: str, tmp_path: Path
) -> None:
    ada = service.signed_in(token("ada"))
    task = ada.post(TASKS, {"title": "One"}, headers={"Idempotency-Key": "once"}).json()
    ada.post(TASKS, {"title": "Two"})
    page, account = ada.get(f"{TASKS}?limit=1"), ada.get(ACCOUNT)
    credentials = {"email": "eve@example.com", "password": "correct horse battery staple"}
    assert service.post("/api/v1/auth/register", credentials).status == 201
    session = service.post("/api/v1/auth/token", credentials).json()

    done = run("new-epochs", cwd=tmp_path, DATABASE_URL=own_url, JWT_SECRET=SECRET)
    assert (done.returncode, done.stdout) == (0, "")

    for address, before in ((f"{TASKS}?limit=1", page), (ACCOUNT, account)):
        again = ada.get(address, headers={"If-None-Match": before.headers["etag"]})
        assert (again.status, again.json()) == (
            200,
            before.json() | {"next_cursor": again.json().get("next_cursor")}
            if "next_cursor" in before.json()
            else before.json(),
        )
    cursor = page.json()["next_cursor"]
    assert ada.get(f"{TASKS}?limit=1&cursor={cursor}").code == "invalid_cursor"
    assert ada.get(f"{TASKS}?limit=1&cursor={ada.get(f'{TASKS}?limit=1').json()['next_cursor']}").status == 200
    assert ada.get(f"{TASKS}/{task['id']}", headers={"If-None-Match": '"1"'}).status == 304
    changed = ada.patch(f"{TASKS}/{task['id']}", {"title": "Uno"}, headers={"If-Match": '"1"'})
    assert (changed.status, changed.json()["version"]) == (200, epochs.JUMP + 3)
    again = ada.post(TASKS, {"title": "One"}, headers={"Idempotency-Key": "once"})
    assert again.json()["id"] != task["id"]
    assert service.post("/api/v1/auth/refresh", {"refresh_token": session["refresh_token"]}).status == 401
    assert rows(own_url, "SELECT relforcerowsecurity FROM pg_class WHERE relname = 'users'") == [(True,)]


def test_write_after_a_restore_does_not_match_a_version_that_was_lost(service: Client, own_url: str) -> None:
    """Before: version 2 was lost with the restore. Without the jump, another change would get its number."""
    ada = service.signed_in(token("ada"))
    task = ada.post(TASKS, {"title": "One"}).json()
    address = f"{TASKS}/{task['id']}"
    epochs.renew(own_url)  # of a backup that was made at this moment, after which version 2 was written
    assert ada.patch(address, {"title": "Another change"}).json()["version"] > epochs.JUMP
    assert ada.patch(address, {"title": "Mine"}, headers={"If-Match": '"2"'}).status == 412


def test_external_user_who_was_deleted_and_comes_back_has_other_tags_and_cursors(service: Client) -> None:
    ada = service.signed_in(token("returns"))
    for title in ("One", "Two"):
        ada.post(TASKS, {"title": title})
    page, account = ada.get(f"{TASKS}?limit=1"), ada.get(ACCOUNT)
    assert ada.post("/api/v1/me/account/deletion", {}).status == 204
    for title in ("Other", "More"):
        ada.post(TASKS, {"title": title})
    assert (
        ada.get(f"{TASKS}?limit=1", headers={"If-None-Match": page.headers["etag"]}).json()["items"][0]["title"]
        == "More"
    )
    assert ada.get(ACCOUNT, headers={"If-None-Match": account.headers["etag"]}).status == 200
    assert ada.get(f"{TASKS}?limit=1&cursor={page.json()['next_cursor']}").code == "invalid_cursor"


@pytest.mark.parametrize("tag", ["version", "tag", "weak", "other user", "other version"])
def test_update_account_takes_its_tag_or_its_version_and_nothing_else(user: User, ada: Client, tag: str) -> None:
    account = user.client.get(ACCOUNT)
    whole, version = account.headers["etag"], account.json()["version"]
    given = {
        "version": f'"{version}"',
        "tag": whole,
        "weak": f"W/{whole}",
        "other user": ada.get(ACCOUNT).headers["etag"],
        "other version": whole.replace(f'-{version}"', f'-{version + 1}"'),
    }[tag]
    reply = user.client.patch(ACCOUNT, {"name": "New"}, headers={"If-Match": given})
    assert reply.status == (200 if tag in {"version", "tag"} else 412)


MATCHING = ['"1"', ' "1" ', '"1",', ',"1"', ', ,"1"', '"7"\t,\t"1"', '"7",,"1"', '"a,b", "1"', '"!#~", "1"', '"", "1"']
OTHER = ['"01"', '"+1"', '"1 "' if False else '"1x"', '"7"', '""', '"a\\", "7"', '"10"', 'W/"7", "8"']


@pytest.mark.parametrize("field", MATCHING)
def test_conditions_with_a_list_of_tags_that_has_the_tasks_match(ada: Client, field: str) -> None:
    address = ada.post(TASKS, {"title": "One"}).headers["location"]
    assert ada.get(address, headers={"If-None-Match": field}).status == 304
    assert ada.patch(address, {"title": "Uno"}, headers={"If-Match": field}).status == 200


@pytest.mark.parametrize("field", OTHER)
def test_conditions_with_a_list_of_other_tags_do_not_match(ada: Client, field: str) -> None:
    address = ada.post(TASKS, {"title": "One"}).headers["location"]
    assert ada.get(address, headers={"If-None-Match": field}).status == 200
    assert ada.patch(address, {"title": "Uno"}, headers={"If-Match": field}).status == 412


@pytest.mark.parametrize("field", [",", "1", '"1', '"1""2"', '"1" "2"', 'w/"1"', 'W/ "1"', '* , "1"', '"1", *'])
def test_conditions_that_are_no_list_of_tags_are_refused(ada: Client, field: str) -> None:
    address = ada.post(TASKS, {"title": "One"}).headers["location"]
    assert ada.get(address, headers={"If-None-Match": field}).code == "validation_failed"
    assert ada.patch(address, {"title": "Uno"}, headers={"If-Match": field}).code == "validation_failed"


def test_cursor_names_no_user_and_no_epoch_in_the_clear(ada: Client) -> None:
    for title in ("One", "Two"):
        user_id = ada.post(TASKS, {"title": title}).json()["user_id"]
    cursor = ada.get(f"{TASKS}?limit=1").json()["next_cursor"]
    assert user_id.encode() not in base64.urlsafe_b64decode(cursor + "==")
