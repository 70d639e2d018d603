"""Conditions whose tags name several epochs of one user, or none that there is."""

from uuid import uuid4

import pytest

from tests.support.client import Client
from tests.support.credentials import token

TASKS = "/api/v1/me/tasks"
ACCOUNT = "/api/v1/me/account"


def parts(tag: str) -> tuple[str, str, str]:
    """User, epoch and number of a tag."""
    user, epoch, number = tag.strip('"').split("-")
    return user, epoch, number


@pytest.fixture
def external(anonymous: Client) -> Client:
    """A user who is let back in after the account was deleted."""
    return anonymous.signed_in(token(f"returns-{uuid4()}"))


def back_again(client: Client, address: str, writes: int) -> str:
    """The user is deleted and comes back with so many writes. The tag of the address in the life before."""
    for _ in range(2):
        assert client.patch(ACCOUNT, {"name": "Before"}).status == 200
    before = client.get(address).headers["etag"]
    assert client.post(f"{ACCOUNT}/deletion", {}).status == 204
    assert client.post(TASKS, {"title": "Other"}).status == 201
    for number in range(writes - 1):
        assert client.patch(ACCOUNT, {"name": f"After {number}"}).status == 200
    return before


@pytest.mark.parametrize("query", ["", "?status=pending", "?q=other", "?sort=title"])
def test_list_tasks_with_number_of_one_epoch_and_epoch_of_another_gives_the_page(external: Client, query: str) -> None:
    """Each tag alone names no page that there is, though the one has its number and the other its epoch."""
    before = back_again(external, TASKS + query, writes=2)
    now = external.get(TASKS + query)
    user, epoch, number = parts(now.headers["etag"])
    assert parts(before)[2] == number
    tags = f'{before}, "{user}-{epoch}-7"'
    reply = external.get(TASKS + query, headers={"If-None-Match": tags})
    assert (reply.status, reply.json()) == (200, now.json())
    assert reply.json()["total"] == 1
    both = external.get(TASKS + query, headers={"If-None-Match": f"{tags}, {now.headers['etag']}"})
    assert both.status == 304


@pytest.mark.parametrize("address", [TASKS, f"{TASKS}?q=other", ACCOUNT])
@pytest.mark.parametrize("epoch", ["ffffffffffffffff", "8000000000000000", "7fffffffffffffff", "0", "00", "x"])
def test_read_with_tag_of_an_epoch_that_cannot_be_gives_what_there_is(ada: Client, address: str, epoch: str) -> None:
    ada.post(TASKS, {"title": "Other"})
    user, _, number = parts(ada.get(address).headers["etag"])
    assert ada.get(address, headers={"If-None-Match": f'"{user}-{epoch}-{number}"'}).status == 200


@pytest.mark.parametrize("number", ["999999999999999999", "9999999999999999999", "-1", "01", ""])
def test_read_with_tag_of_a_number_that_cannot_be_gives_what_there_is(ada: Client, number: str) -> None:
    ada.post(TASKS, {"title": "Other"})
    user, epoch, _ = parts(ada.get(TASKS).headers["etag"])
    assert ada.get(TASKS, headers={"If-None-Match": f'"{user}-{epoch}-{number}"'}).status == 200


def test_update_account_with_tag_of_the_life_before_is_refused(external: Client) -> None:
    """The account of the user who came back is at the very version that the tag has."""
    before = back_again(external, ACCOUNT, writes=2)
    now = external.get(ACCOUNT)
    assert parts(before)[2] == parts(now.headers["etag"])[2]
    reply = external.patch(ACCOUNT, {"name": "Overwritten"}, headers={"If-Match": before})
    assert (reply.status, reply.headers["etag"]) == (412, now.headers["etag"])
    assert external.get(ACCOUNT).json() == now.json()
    both = external.patch(ACCOUNT, {"name": "New"}, headers={"If-Match": f"{before}, {now.headers['etag']}"})
    assert (both.status, both.json()["name"]) == (200, "New")
