"""What holds for every operation alike: 503 while the database is away, 500 while it refuses, and replies that a front end may read."""

import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.conftest import SECRET, token
from tests.support.client import Client, Reply
from tests.support.rows import rows
from todo_api import contract
from todo_api.config import Config
from todo_api.contract import resolve

IDS = dict.fromkeys(("task_id", "key_id"), "01932c07-9f7a-7c1d-b6a1-5a2f0f5d1c3e")
ORIGIN = "https://app.example.com"


class Operation(NamedTuple):
    """An operation of the contract, with its own example as the body."""

    name: str
    method: str
    path: str
    body: Any

    def call(self, client: Client, **more: Any) -> Reply:
        return client.request(self.method, self.path, json_body=self.body, **more)


def _operations(file: Path, base: str) -> Iterator[Operation]:
    document = contract.load(file)
    for template, item in document["paths"].items():
        path = base + template.format(user_id="me", **IDS)
        for method in item.keys() - {"parameters"}:
            operation, body = item[method], None
            if "requestBody" in operation:
                (media,) = operation["requestBody"]["content"].values()
                body = resolve(document, next(iter(media["examples"].values())))["value"]
            yield Operation(operation["operationId"], method.upper(), path, body)


def each(operations: list[Operation]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("operation", operations, ids=[operation.name for operation in operations])


FOR_USERS = sorted(_operations(contract.TASK_API, "/api/v1"))
FOR_OPERATORS = sorted(_operations(contract.OPS_API, ""))


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
    rows(url, "REVOKE ALL ON ALL TABLES IN SCHEMA public FROM task_api_user, task_api_login")
    return new_client(Config(database_url=url, jwt_secret=SECRET)).signed_in(token("ada"))


@pytest.fixture(scope="module")
def front_end(url: str, new_client: Callable[[Config], Client]) -> Client:
    """A service that lets the pages of one origin read its replies."""
    config = Config(database_url=url, jwt_secret=SECRET, cors_origins=(ORIGIN,))
    return new_client(config).signed_in(token("ada"))


@each(FOR_USERS)
def test_every_operation_database_away_is_503(away: Client, operation: Operation) -> None:
    reply = operation.call(away)
    assert (reply.status, reply.code, reply.headers["retry-after"]) == (503, "unavailable", "1")


@each(FOR_USERS)
def test_every_operation_statement_refused_is_500_and_says_nothing_of_it(broken: Client, operation: Operation) -> None:
    reply = operation.call(broken)
    assert (reply.status, reply.code) == (500, "internal_error")
    assert not re.search(rb"permission|denied|select|insert|tasks\b.*relation", reply.body, re.IGNORECASE)


@each(FOR_USERS + FOR_OPERATORS)
def test_every_operation_from_an_allowed_origin_may_be_read_there(front_end: Client, operation: Operation) -> None:
    reply = operation.call(front_end, headers={"Origin": ORIGIN})
    assert reply.headers["access-control-allow-origin"] == ORIGIN
    assert "Origin" in [value for name, value in reply.header_list if name == "vary"]


@each(FOR_OPERATORS)
def test_every_operation_for_operators_unknown_parameter_is_400(anonymous: Client, operation: Operation) -> None:
    reply = anonymous.request(operation.method, f"{operation.path}?verbose=1")
    (violation,) = reply.json()["errors"]
    assert (reply.status, reply.code) == (400, "validation_failed")
    assert (violation["location"], violation["pointer"], violation["code"]) == ("query", "/verbose", "unknown")
