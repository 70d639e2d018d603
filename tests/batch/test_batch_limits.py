"""Batches in the rate limit: each counts as its number of operations."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.batches import run, stored
from tests.support.client import Client, Reply
from tests.support.credentials import SECRET, token
from tests.support.rows import rows
from todo_api.batch import service
from todo_api.config import Config

TASKS = "/api/v1/me/tasks"


@pytest.fixture(scope="module")
def limited(url: str, new_client: Callable[[Config], Client]) -> Client:
    """A service that answers ten requests a day of each user."""
    return new_client(Config(database_url=url, jwt_secret=SECRET, rate_limit="10/day"))


def left(reply: Reply) -> int:
    """Return how many requests are left, which one field says."""
    (told,) = [value for name, value in reply.header_list if name == "ratelimit"]
    found = re.fullmatch(r'"default";r=([0-9]+);t=[0-9]+', told)
    assert found is not None
    return int(found[1])


def creations(count: int) -> list[dict[str, Any]]:
    """Return so many operations."""
    return [{"create_task": {"title": "x"}} for _ in range(count)]


def test_run_batch_counts_as_its_number_of_operations(limited: Client, direct: str) -> None:
    ada = limited.signed_in(token("limited-ada"))
    first = run(ada, *creations(6))
    assert (first.status, left(first)) == (200, 4)
    beyond = run(ada, *creations(5))
    assert (beyond.status, beyond.code, left(beyond)) == (429, "rate_limited", 3)
    assert int(beyond.headers["retry-after"]) > 0
    ((count,),) = rows(direct, "SELECT count(*) FROM tasks WHERE user_id = 'limited-ada'")
    assert count == 6
    last = run(ada, *creations(3))
    assert (last.status, left(last)) == (200, 0)
    assert ada.get(TASKS).status == 429


def test_run_batch_larger_than_the_limit_is_refused_and_leaves_the_rest(limited: Client) -> None:
    bob = limited.signed_in(token("limited-bob"))
    assert left(run(bob, *creations(11))) == 9
    one = run(bob, *creations(1))
    assert (one.status, left(one)) == (200, 8)


def test_run_batch_that_fails_counts_as_its_number_of_operations(limited: Client) -> None:
    carol = limited.signed_in(token("limited-carol"))
    missing = {"delete_task": {"id": "01932c07-9f7a-7c1d-b6a1-5a2f0f5d1c3e"}}
    reply = run(carol, *creations(3), missing)
    assert (reply.status, left(reply)) == (404, 6)


def test_run_batch_that_takes_longer_than_its_time_writes_nothing(
    ada: Client, direct: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    user_id = ada.post(TASKS, {"title": "x"}).json()["user_id"]
    before = stored(direct, user_id)
    with monkeypatch.context() as slow:
        slow.setattr(service, "SECONDS", -1)
        late = run(ada, {"create_task": {"title": "late", "labels": ["one"]}})
    assert (late.status, late.code) == (503, "unavailable")
    assert stored(direct, user_id) == before
    assert run(ada, *creations(1)).status == 200
