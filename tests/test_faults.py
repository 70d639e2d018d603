"""Every operation of the contract while the database is out of reach, and while the service may not use it: 503 and 500."""

import re
import socket
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from tests.client import Client, Reply
from tests.conftest import SECRET, token
from tests.rows import rows
from todo_api import contract
from todo_api.config import Config
from todo_api.contract import resolve

TASK_ID = "01932c07-9f7a-7c1d-b6a1-5a2f0f5d1c3e"
ORIGIN = "https://app.example.com"


class Operation(NamedTuple):
    """An operation of the contract, with its own example as the body."""

    name: str
    method: str
    path: str
    body: Any

    def call(self, client: Client, **more: Any) -> Reply:
        return client.request(self.method, self.path, json_body=self.body, **more)


def _operations() -> Iterator[Operation]:
    document = contract.load(contract.TASK_API)
    for template, item in document["paths"].items():
        path = "/api/v1" + template.format(user_id="me", task_id=TASK_ID)
        for method in item.keys() - {"parameters"}:
            operation, body = item[method], None
            if "requestBody" in operation:
                (media,) = operation["requestBody"]["content"].values()
                body = resolve(document, next(iter(media["examples"].values())))["value"]
            yield Operation(operation["operationId"], method.upper(), path, body)


OPERATIONS = sorted(_operations())

every_operation = pytest.mark.parametrize("operation", OPERATIONS, ids=[operation.name for operation in OPERATIONS])


@pytest.fixture(scope="module")
def away(new_client: Callable[[Config], Client]) -> Iterator[Client]:
    """A service whose database is nowhere: the port is taken, by what does not listen."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"postgresql://tasks@127.0.0.1:{taken.getsockname()[1]}/tasks"
        yield new_client(Config(database_url=url, jwt_secret=SECRET)).signed_in(token("ada"))


@pytest.fixture(scope="module")
def broken(new_database: Callable[[], str], new_client: Callable[[Config], Client]) -> Client:
    """A service whose roles have lost their rights to every table."""
    url = new_database()
    rows(
        url,
        "REVOKE ALL ON ALL TABLES IN SCHEMA public FROM task_api_user, task_api_login",
    )
    return new_client(Config(database_url=url, jwt_secret=SECRET)).signed_in(token("ada"))


@every_operation
def test_every_operation_database_away_is_503(away: Client, operation: Operation) -> None:
    reply = operation.call(away)
    assert (reply.status, reply.code, reply.headers["retry-after"]) == (503, "unavailable", "1")


@every_operation
def test_every_operation_statement_refused_is_500_and_says_nothing_of_it(broken: Client, operation: Operation) -> None:
    reply = operation.call(broken)
    assert (reply.status, reply.code) == (500, "internal_error")
    assert not re.search(rb"permission|denied|select|insert|tasks\b.*relation", reply.body, re.IGNORECASE)
