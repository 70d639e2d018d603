"""The zone of an account changes while a date without a zone is written: its instant is that of the zone there is then."""

import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.client import Client, Reply
from tests.support.credentials import SECRET, token
from tests.support.gate import Gate
from tests.support.rows import rows
from tests.support.tasks import create, path
from todo_api.config import Config

TASKS = "/api/v1/me/tasks"
ACCOUNT = "/api/v1/me/account"
NOON = {"date": "2026-11-20", "time": "12:00"}

Write = Callable[[Client, dict[str, Any]], Reply]

WRITES: dict[str, Write] = {
    "createTask": lambda client, _: client.post(TASKS, {"title": "new", "due": NOON, "start": NOON}),
    "replaceTask": lambda client, task: client.request(
        "PUT", path(task), json_body={"title": "new", "due": NOON, "start": NOON}
    ),
    "updateTask": lambda client, task: client.patch(path(task), {"due": NOON, "start": NOON}),
}


@pytest.fixture(scope="module")
def gate(url: str) -> Iterator[Gate]:
    with tempfile.TemporaryDirectory() as folder, Gate(Path(folder), url) as gate:
        yield gate


@pytest.fixture(scope="module")
def held_up(gate: Gate, new_client: Callable[[Config], Client]) -> Client:
    """A client whose statements pass the gate, on one connection that is there."""
    config = Config(database_url=gate.url, jwt_secret=SECRET, rate_limit="off", threads=1, queue_limit=60_000)
    client = new_client(config).signed_in(token("warm"))
    assert client.get(TASKS).status == 200
    return client


@pytest.mark.parametrize("operation", WRITES)
def test_write_of_a_date_while_the_zone_changes_is_at_the_instant_of_the_zone_there_is_then(
    gate: Gate, held_up: Client, ada: Client, direct: str, operation: str
) -> None:
    me, moves = held_up.signed_in(ada.token), 0
    with ThreadPoolExecutor(1) as thread:
        for number in range(1, 20):
            assert ada.patch(ACCOUNT, {"time_zone": "Pacific/Auckland"}).status == 200
            task = create(ada)
            gate.arm(number)
            write: Future[Reply] = thread.submit(WRITES[operation], me, task)
            if not gate.waits(write.done):
                break
            assert ada.patch(ACCOUNT, {"time_zone": "America/Los_Angeles"}).status == 200
            gate.let_through()
            written, moves = write.result().json(), moves + 1
            assert (written["due"], written["start"]) == (NOON | {"time_zone": None},) * 2
            assert at(direct, written) == ("2026-11-20 20:00:00+00",) * 2, f"before statement {number}"
    assert moves > 1


def at(url: str, task: dict[str, Any]) -> tuple[str, str]:
    """The stored instants of `due` and `start`."""
    columns = "(due_at AT TIME ZONE 'UTC')::text || '+00', (start_at AT TIME ZONE 'UTC')::text || '+00'"
    (found,) = rows(url, f"SELECT {columns} FROM tasks WHERE id = '{task['id']}'")
    return found[0], found[1]
